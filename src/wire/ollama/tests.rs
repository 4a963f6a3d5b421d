//! Ollama's chat: requests from the hub, answers, streams and errors to it.

mod answers;
mod requests;
