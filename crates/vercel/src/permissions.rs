//! The rights that the actions need. A pasted token has all of its owner's and cannot be asked; an
//! installed integration has the scopes that its form names, such as `read-write:project`.

use resto_core::Permission;

/// Any one of these sets.
type Needs = &'static [&'static [&'static str]];

pub(crate) const ACCOUNT_READ: Needs = &[&["user:read", "team:read"]];
pub(crate) const PROJECT_READ: Needs = &[&["project:read"]];
pub(crate) const PROJECT_WRITE: Needs = &[&["project:write"]];
pub(crate) const DEPLOYMENT_READ: Needs = &[&["deployment:read"]];
pub(crate) const DEPLOYMENT_WRITE: Needs = &[&["deployment:write"]];
/// The project tells which repository to deploy.
pub(crate) const DEPLOYMENT_WRITE_PROJECT_READ: Needs = &[&["deployment:write", "project:read"]];
/// What the public sees belongs to the project.
pub(crate) const PROJECT_WRITE_DEPLOYMENT_READ: Needs = &[&["project:write", "deployment:read"]];
pub(crate) const VARIABLES_READ: Needs = &[&["project-env-vars:read"]];
pub(crate) const VARIABLES_WRITE: Needs = &[&["project-env-vars:write"]];
pub(crate) const DOMAIN_AND_PROJECT_READ: Needs = &[&["domain:read", "project:read"]];
pub(crate) const DOMAIN_READ: Needs = &[&["domain:read"]];
pub(crate) const DOMAIN_WRITE: Needs = &[&["domain:write"]];

/// All of them, for people.
pub(crate) const ALL: &[Permission] = &[
    Permission { id: "user:read", allows: "see whose account it is" },
    Permission { id: "team:read", allows: "see your teams" },
    Permission { id: "project:read", allows: "see your projects and their domains" },
    Permission {
        id: "project:write",
        allows: "create, change and delete projects, their domains, and what is live",
    },
    Permission { id: "deployment:read", allows: "see deployments and their logs" },
    Permission { id: "deployment:write", allows: "deploy, cancel and delete deployments" },
    Permission { id: "project-env-vars:read", allows: "see the names of environment variables" },
    Permission { id: "project-env-vars:write", allows: "set and remove environment variables" },
    Permission { id: "domain:read", allows: "see how domains are set up, and their DNS records" },
    Permission { id: "domain:write", allows: "change the DNS records of your domains" },
];
