//! The words and characters that the API allows: formats of media, names of documents, ids.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::base::base64;
use crate::llm::part::{Media, MediaKind, Source};
use crate::llm::{Format, Signature};

/// The most of an id.
const LONGEST: usize = 64;

/// The most of a document's name.
const LONGEST_DOCUMENT: usize = 200;

/// Formats of media: the kind, the API's word, its MIME types, the API's own first.
const FORMATS: &[(MediaKind, &str, &[&str])] = &[
    (MediaKind::Image, "png", &["image/png"]),
    (MediaKind::Image, "jpeg", &["image/jpeg", "image/jpg"]),
    (MediaKind::Image, "gif", &["image/gif"]),
    (MediaKind::Image, "webp", &["image/webp"]),
    (MediaKind::File, "pdf", &["application/pdf"]),
    (MediaKind::File, "csv", &["text/csv"]),
    (MediaKind::File, "doc", &["application/msword"]),
    (MediaKind::File, "docx", &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"]),
    (MediaKind::File, "xls", &["application/vnd.ms-excel"]),
    (MediaKind::File, "xlsx", &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"]),
    (MediaKind::File, "html", &["text/html"]),
    (MediaKind::File, "txt", &["text/plain"]),
    (MediaKind::File, "md", &["text/markdown", "text/x-markdown"]),
    (MediaKind::Video, "mkv", &["video/x-matroska"]),
    (MediaKind::Video, "mov", &["video/quicktime"]),
    (MediaKind::Video, "mp4", &["video/mp4"]),
    (MediaKind::Video, "webm", &["video/webm"]),
    (MediaKind::Video, "flv", &["video/x-flv"]),
    (MediaKind::Video, "mpeg", &["video/mpeg"]),
    (MediaKind::Video, "mpg", &["video/mpg"]),
    (MediaKind::Video, "wmv", &["video/x-ms-wmv", "video/wmv"]),
    (MediaKind::Video, "three_gp", &["video/3gpp"]),
    (MediaKind::Audio, "mp3", &["audio/mp3"]),
    (MediaKind::Audio, "opus", &["audio/opus"]),
    (MediaKind::Audio, "wav", &["audio/wav", "audio/x-wav", "audio/wave"]),
    (MediaKind::Audio, "aac", &["audio/aac"]),
    (MediaKind::Audio, "flac", &["audio/flac", "audio/x-flac"]),
    (MediaKind::Audio, "mp4", &["audio/mp4"]),
    (MediaKind::Audio, "ogg", &["audio/ogg"]),
    (MediaKind::Audio, "mkv", &["audio/x-matroska"]),
    (MediaKind::Audio, "mka", &["audio/mka"]),
    (MediaKind::Audio, "x-aac", &["audio/x-aac"]),
    (MediaKind::Audio, "m4a", &["audio/m4a", "audio/x-m4a"]),
    (MediaKind::Audio, "mpeg", &["audio/mpeg"]),
    (MediaKind::Audio, "mpga", &["audio/mpga"]),
    (MediaKind::Audio, "pcm", &["audio/pcm", "audio/pcm16"]),
    (MediaKind::Audio, "webm", &["audio/webm"]),
];

/// How the base64 of an image begins.
const IMAGES: &[(&str, &str)] = &[("iVBORw0KGgo", "png"), ("/9j/", "jpeg"), ("R0lGOD", "gif"), ("UklGR", "webp")];

/// The MIME type of a format.
pub(super) fn mime(kind: MediaKind, format: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(of, word, _)| (*of, *word) == (kind, format)).and_then(|(.., mimes)| mimes.first().copied())
}

/// The format of media: by its MIME type, by the end of its name or its URL, by how it begins. Nothing where
/// the API has none for it.
pub(super) fn format(media: &Media<'_>) -> Option<&'static str> {
    if let Some(mime) = &media.mime {
        let plain = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let known = FORMATS.iter().find(|(of, _, mimes)| *of == media.kind && mimes.contains(&&*plain));
        let is_text = media.kind == MediaKind::File && plain.starts_with("text/");
        return known.map(|(_, word, _)| *word).or(is_text.then_some("txt"));
    }
    let url = match &media.source {
        Source::Url(url) => Some(&**url),
        _ => None,
    };
    let ending = |name: &str| {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        let ending = match &*ending {
            "jpg" => "jpeg",
            "3gp" => "three_gp",
            "htm" => "html",
            other => other,
        };
        FORMATS.iter().find(|(of, word, _)| (*of, *word) == (media.kind, ending)).map(|(_, word, _)| *word)
    };
    let begins = || match (&media.source, media.kind) {
        (Source::Base64(data), MediaKind::Image) => {
            IMAGES.iter().find(|(begin, _)| data.starts_with(begin)).map(|(_, word)| *word)
        }
        (Source::Base64(data), MediaKind::File) => data.starts_with("JVBERi").then_some("pdf"),
        (Source::Text(_), MediaKind::File) => Some("txt"),
        _ => None,
    };
    media.name.as_deref().and_then(ending).or_else(|| url.and_then(ending)).or_else(begins)
}

/// The names of the documents of one request: it is refused where two have the same.
#[derive(Debug, Default)]
pub(super) struct Documents {
    taken: HashSet<String>,
    /// How often a name was wanted.
    wanted: HashMap<String, usize>,
}

/// A document's name of the characters that the API allows.
pub(super) fn document(name: Option<&str>) -> String {
    let name = name.unwrap_or("document");
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let mut plain = String::with_capacity(stem.len());
    for c in stem.chars().take(LONGEST_DOCUMENT - 8) {
        let c = match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']') => c,
            c if c.is_whitespace() => ' ',
            _ => '-',
        };
        if c != ' ' || !plain.ends_with(' ') {
            plain.push(c);
        }
    }
    let plain = plain.trim();
    if plain.is_empty() { "document".to_owned() } else { plain.to_owned() }
}

/// A call's id. One that the API would refuse becomes another one, the same wherever it stands: no provider
/// gives the client's ids back.
pub(super) fn id(id: &str) -> Cow<'_, str> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    if !id.is_empty() && id.len() <= LONGEST && id.bytes().all(is_legal) {
        return Cow::Borrowed(id);
    }
    let digest = Sha256::digest(id.as_bytes());
    let mut made = String::from("id_");
    for byte in &digest[..16] {
        let _ = write!(made, "{byte:02x}");
    }
    Cow::Owned(made)
}

// === impl Documents ===

impl Documents {
    /// A name that no other document of the request has.
    pub(super) fn name(&mut self, name: Option<&str>) -> String {
        let base = document(name);
        let wanted = self.wanted.entry(base.clone()).or_insert(0);
        loop {
            *wanted += 1;
            let unique = if *wanted == 1 { base.clone() } else { format!("{base} {wanted}") };
            if self.taken.insert(unique.clone()) {
                return unique;
            }
        }
    }
}

/// A seal as a blob, which has to be base64: another maker's seal is wrapped in it.
pub(super) fn blob(seal: &Signature<'_>) -> String {
    match seal.for_client(Format::Converse) {
        Cow::Borrowed(own) => own.to_owned(),
        Cow::Owned(marked) => base64::encode(marked.as_bytes()),
    }
}

/// The seal of a blob.
pub(super) fn seal(blob: Cow<'_, str>) -> Signature<'_> {
    let marked = base64::decode(blob.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
    match marked.map(|text| Signature::read(Format::Converse, Cow::Owned(text))) {
        Some(seal) if seal.maker != Format::Converse => seal,
        _ => Signature { maker: Format::Converse, data: blob },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_has_a_legal_name_of_its_own() {
        let mut documents = Documents::default();
        for (name, expected) in [
            (Some("Bericht  für\u{a0}März.pdf"), "Bericht f-r M-rz"),
            (Some("a/b_c.tar.gz"), "a-b-c-tar"),
            (None, "document"),
            (Some("..."), "--"),
            (Some(".pdf"), "document 2"),
            (Some("document"), "document 3"),
        ] {
            assert_eq!(documents.name(name), expected);
        }
        assert!(documents.name(Some(&"x".repeat(900))).len() <= LONGEST_DOCUMENT);
    }

    #[test]
    fn formats_are_told_by_type_name_and_beginning() {
        let media = |kind, mime: Option<&'static str>, name: Option<&'static str>, data: &'static str| Media {
            kind,
            mime: mime.map(Cow::Borrowed),
            source: Source::Base64(data.into()),
            name: name.map(Cow::Borrowed),
            detail: None,
        };
        for (given, expected) in [
            (media(MediaKind::Image, Some("image/JPG; q=1"), None, ""), Some("jpeg")),
            (media(MediaKind::Image, Some("image/tiff"), None, "/9j/"), None),
            (media(MediaKind::Image, None, None, "/9j/4AAQ"), Some("jpeg")),
            (media(MediaKind::File, None, Some("a.HTM"), ""), Some("html")),
            (media(MediaKind::File, Some("text/x-rust"), None, ""), Some("txt")),
            (media(MediaKind::File, Some("application/zip"), None, ""), None),
            (media(MediaKind::File, None, None, "JVBERi0x"), Some("pdf")),
            (media(MediaKind::Video, None, Some("x.3gp"), ""), Some("three_gp")),
        ] {
            assert_eq!(format(&given), expected, "{given:?}");
        }
        for (kind, word, mimes) in FORMATS {
            assert_eq!(format(&media(*kind, Some(mimes[0]), None, "")), Some(*word));
            assert_eq!(mime(*kind, word), Some(mimes[0]));
        }
    }

    proptest! {
        #[test]
        fn every_id_is_legal_and_stays_itself(text in ".{0,80}") {
            let made = id(&text);
            prop_assert!((1..=LONGEST).contains(&made.len()));
            prop_assert_eq!(&id(&made), &made);
            prop_assert_eq!(id(&text), made.clone());
        }

        #[test]
        fn a_seal_goes_through_a_blob(data in "[A-Za-z0-9]{4}{0,5}") {
            for maker in Format::ALL {
                let made = Signature { maker, data: data.clone().into() };
                let written = blob(&made);
                prop_assert!(base64_of(&written));
                prop_assert_eq!(seal(Cow::Borrowed(&written)), made);
            }
        }

        #[test]
        fn no_name_panics(name in ".{0,20}") {
            let _ = document(Some(&name));
        }
    }

    fn base64_of(text: &str) -> bool {
        base64::decode(text.as_bytes()).is_some()
    }
}
