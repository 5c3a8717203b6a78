//! Applications.

use async_trait::async_trait;

use super::StoreError;
use crate::applications::{Application, ApplicationId};
use crate::page::Page;

/// Reads applications.
#[async_trait]
pub trait Applications: Send + Sync {
    /// The application of that id.
    async fn application(&self, id: &ApplicationId) -> Result<Option<Application>, StoreError>;

    /// Applications in the order of their ids. One that cannot be read takes its place in the list and does not
    /// keep the others out of it.
    async fn applications(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Result<Application, DamagedApplication>>, StoreError>;

    /// The application of that id, if it is there and cannot be read.
    async fn damaged_application(
        &self,
        id: &ApplicationId,
    ) -> Result<Option<DamagedApplication>, StoreError>;
}

/// An application of which what is stored cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedApplication {
    /// Its id.
    pub id: String,
    /// What is wrong with it.
    pub problem: String,
}

/// An entry of the list of applications.
pub trait ListedApplication {
    /// Its id.
    fn id(&self) -> &str;
}

impl ListedApplication for Result<Application, DamagedApplication> {
    fn id(&self) -> &str {
        match self {
            Ok(application) => application.id.as_str(),
            Err(damaged) => &damaged.id,
        }
    }
}
