//! The JSON types of the REST API (placeholder).
