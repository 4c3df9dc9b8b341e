//! Promises of the view.
