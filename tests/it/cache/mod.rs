//! What is kept of answers, and where.

mod redis;
