//! What a location is to whoever moves artifacts.

use std::path::Path;
use std::sync::Arc;

use flowforge_model::artifact::Location;
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::ArtifactError;

use crate::objects::Objects;
#[cfg(feature = "places")]
use crate::web::Web;

/// Knows where things are.
pub(crate) trait Places {
    /// What a location is.
    fn place<'a>(&'a self, location: &'a Location) -> Result<Place<'a>, ArtifactError>;

    /// A directory for what has to be put down on the way.
    fn scratch(&self) -> &Path;

    /// What people call the repository.
    fn repository(&self) -> String;
}

/// What a location is.
pub(crate) enum Place<'a> {
    /// Among these, with this key.
    Objects(Arc<dyn Objects>, &'a str),
    /// Behind a URL.
    #[cfg(feature = "places")]
    Web(Web<'a>),
    /// In the document.
    Text(&'a str),
}

/// Says which artifact it is about.
pub(crate) fn about(side: &str, name: &str, mut error: ArtifactError) -> ArtifactError {
    if error.reason != Reason::Stopped {
        error.message = format!("{side} artifact {name}: {}", error.message);
    }
    error
}
