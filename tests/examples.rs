//! The small examples do what their first lines say.

mod sqlite_backend;
