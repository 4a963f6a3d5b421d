//! How one call goes to its provider: by which API, to which path, and whether request and answer are written
//! anew on the way. What crosses is a chat, a call for vectors, for a ranking or for a count; everything else
//! goes on in its client's own words, or is refused.

use bytes::Bytes;

use super::codec::{Envelope, Outgoing, Unreadable, Writing};
use super::outbound::{Outbound, PathCall, Speaks, encode};
use super::tools::Tools;
use super::{count, embed, rerank};
use crate::base::json::Tree;
use crate::llm::{Call, Dialect, Dropped, Format, Operation, Refusal, Usage};

/// The passage of one call.
#[derive(Clone, Copy)]
pub enum Passage {
    /// What the client speaks, and how the chat leaves.
    Chat {
        client: Format,
        outbound: Outbound,
    },
    /// In OpenAI's words, in Azure's envelope where there is one; or as `provider` is asked.
    Embed {
        provider: Option<&'static dyn embed::Provider>,
        envelope: Envelope,
    },
    Rerank {
        client: &'static dyn rerank::Shape,
        provider: &'static dyn rerank::Shape,
    },
    Count {
        client: Format,
        outbound: Outbound,
    },
}

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub dialect: Dialect,
    /// The model name that leaves.
    pub model: &'a str,
    pub speaks: Speaks,
}

/// What a request has said that its answer must know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Vectors are wanted in base64.
    pub base64: bool,
    /// How many vectors are wanted.
    pub vectors: usize,
    /// How the provider names the client's tools.
    pub tools: Tools,
}

/// An answer that is one document, written for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub body: Vec<u8>,
    pub usage: Option<Usage>,
}

// === impl Passage ===

impl Passage {
    /// How a call of a client that speaks `dialect` goes there, if that is known.
    pub fn of(dialect: Dialect, operation: Operation, to: Place<'_>) -> Option<Passage> {
        match operation {
            Operation::Embeddings if dialect == Dialect::OpenAi => Passage::embed(to),
            Operation::Rerank => {
                let (client, provider) = (rerank::shape(dialect)?, rerank::shape(to.dialect)?);
                Some(Passage::Rerank { client, provider })
            }
            Operation::CountTokens => {
                let (client, outbound) = (count::client(dialect)?, count::provider(to.dialect, to.model, to.speaks)?);
                Some(Passage::Count { client, outbound })
            }
            _ => {
                let client = Format::of_client(dialect, operation)?;
                Some(Passage::Chat { client, outbound: Outbound::to(to.dialect, to.model, client, to.speaks) })
            }
        }
    }

    fn embed(to: Place<'_>) -> Option<Passage> {
        let own = |envelope| Passage::Embed { provider: None, envelope };
        match to.dialect {
            Dialect::Azure if to.speaks.deployments => Some(own(Envelope::Deployment)),
            Dialect::OpenAi | Dialect::Azure | Dialect::Responses => Some(own(Envelope::Plain)),
            dialect => {
                let provider = Some(embed::provider(dialect, to.model)?);
                Some(Passage::Embed { provider, envelope: Envelope::Plain })
            }
        }
    }

    /// Formats of a chat.
    pub fn chat(self) -> Option<(Format, Outbound)> {
        match self {
            Passage::Chat { client, outbound } => Some((client, outbound)),
            _ => None,
        }
    }

    /// How a chat leaves, or one that is counted.
    pub fn outbound(self) -> Option<Outbound> {
        match self {
            Passage::Chat { outbound, .. } | Passage::Count { outbound, .. } => Some(outbound),
            Passage::Embed { .. } | Passage::Rerank { .. } => None,
        }
    }

    /// Request and answer are written anew.
    pub fn crosses(self) -> bool {
        match self {
            Passage::Chat { client, outbound } | Passage::Count { client, outbound } => client != outbound.format,
            Passage::Embed { provider, .. } => provider.is_some(),
            Passage::Rerank { client, provider } => client.faults() != provider.faults(),
        }
    }

    /// It leaves under the client's own path, if that names no model.
    pub fn keeps_path(self) -> bool {
        match self {
            Passage::Chat { client, outbound } => outbound == Outbound { format: client, envelope: Envelope::Plain },
            Passage::Embed { provider, envelope } => provider.is_none() && envelope == Envelope::Plain,
            Passage::Rerank { .. } | Passage::Count { .. } => false,
        }
    }

    /// The path behind the backend's own prefix.
    pub fn path(self, call: &PathCall<'_>) -> String {
        match self {
            Passage::Chat { outbound, .. } => outbound.path(call),
            Passage::Embed { provider: Some(provider), .. } => provider.path(call.model),
            Passage::Embed { envelope: Envelope::Deployment, .. } => {
                let (model, version) = (encode(call.model), encode(call.api_version));
                format!("/deployments/{model}/embeddings?api-version={version}")
            }
            Passage::Embed { .. } => "/embeddings".to_owned(),
            Passage::Rerank { .. } => rerank::PATH.to_owned(),
            Passage::Count { outbound, .. } => count::path(outbound, call),
        }
    }

    /// The format in which the provider's errors are.
    pub fn faults(self) -> Format {
        match self {
            Passage::Chat { outbound, .. } | Passage::Count { outbound, .. } => outbound.format,
            Passage::Embed { provider, .. } => provider.map_or(Format::Chat, |provider| provider.faults()),
            Passage::Rerank { provider, .. } => provider.faults(),
        }
    }

    /// Headers without which the provider refuses what crosses to it.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Passage::Chat { outbound, .. } | Passage::Count { outbound, .. }
                if outbound.envelope == Envelope::Plain =>
            {
                super::codec(outbound.format).headers()
            }
            _ => &[],
        }
    }

    /// A body that does not cross, put into what its provider wraps it in. `betas` is the header
    /// `anthropic-beta`.
    ///
    /// # Errors
    /// 400 for a body that is no object.
    pub fn wrap(self, body: Bytes, model: &str, betas: Option<&str>, dropped: &mut Dropped) -> Result<Bytes, Refusal> {
        match self {
            Passage::Chat { outbound, .. } => super::envelop(outbound, body, betas, dropped),
            Passage::Count { outbound, .. } => count::own(outbound, body, model),
            Passage::Embed { .. } | Passage::Rerank { .. } => Ok(body),
        }
    }

    /// Writes the request of a call that crosses.
    ///
    /// # Errors
    /// 400 for what is no request of the client's API, and for what its provider has to be told and cannot be.
    pub fn write(
        self,
        call: &Call,
        body: &[u8],
        to: &Outgoing<'_>,
        out: &mut Vec<u8>,
        dropped: &mut Dropped,
    ) -> Result<Asked, Refusal> {
        let read = || Tree::read(body).map_err(super::fields::refuse);
        let mut asked = Asked::default();
        match self {
            Passage::Chat { outbound, .. } => {
                let tree = read()?;
                let mut chat = super::codec_of(call.dialect, call.operation).read_chat(&tree, dropped)?;
                chat.model = to.model.into();
                chat.stream = call.stream;
                chat.stream_usage = call.stream_usage;
                // An answer that does not cross keeps the names that it has.
                if self.crosses() {
                    asked.tools = Tools::fit(&mut chat, outbound, dropped);
                }
                super::codec(outbound.format).write_chat(&chat, to, out, dropped)?;
            }
            Passage::Embed { provider, .. } => {
                let tree = read()?;
                let embed = embed::read(&tree, dropped)?;
                asked = Asked { base64: embed.base64, vectors: embed.inputs.len(), ..asked };
                if let Some(provider) = provider {
                    provider.write(&embed, to.model, out, dropped)?;
                }
            }
            Passage::Rerank { client, provider } => {
                let tree = read()?;
                provider.write_request(&client.read_request(&tree, dropped)?, to.model, out, dropped);
            }
            Passage::Count { client, outbound } => count::write(client, outbound, body, to, out, dropped)?,
        }
        Ok(asked)
    }

    /// Writes the answer of a call that crosses and is no chat. `known` is what is known of its usage beside what
    /// it says.
    ///
    /// # Errors
    /// When the answer is none of the provider's API, or not one to this request.
    pub fn answer(
        self,
        body: &[u8],
        asked: &Asked,
        known: Option<Usage>,
        to: &Writing,
    ) -> Result<Document, Unreadable> {
        let mut out = Vec::with_capacity(body.len() + 256);
        let usage = match self {
            Passage::Chat { .. } => return Err(Unreadable("it is no document")),
            Passage::Embed { provider, .. } => {
                let provider = provider.ok_or(Unreadable("it is the client's own already"))?;
                let mut embeddings = provider.read(body)?;
                embeddings.usage = embeddings.usage.or(known);
                if embeddings.vectors.len() != asked.vectors {
                    return Err(Unreadable("it has another number of vectors than there were inputs"));
                }
                embed::write(&embeddings, &to.model, asked.base64, &mut out)?;
                embeddings.usage
            }
            Passage::Rerank { client, provider } => {
                let tree = Tree::read(body).map_err(|_| Unreadable("it is no JSON"))?;
                let ranking = provider.read_reply(&tree)?;
                client.write_reply(&ranking, to, &mut out);
                ranking.usage
            }
            Passage::Count { client, outbound } => {
                count::write_reply(client, count::read_reply(outbound.format, body)?, &mut out);
                None
            }
        };
        Ok(Document { body: out, usage })
    }
}
