//! Ollama's chat.
