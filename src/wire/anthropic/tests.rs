//! Goldens and round trips of the format.
