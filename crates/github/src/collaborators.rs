//! Collaborators: who may work on a repository.

use resto_core::{Action, Api, Code, Error, Page, PageRequest, Result, Risk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::people::own_login;
use crate::permissions::{ADMINISTRATION_WRITE, COLLABORATORS_READ};
use crate::repos::Repo;

/// A person who may work on a repository.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Collaborator {
    /// Name in addresses and mentions.
    pub login: String,
    /// `read`, `triage`, `write`, `maintain`, `admin`, or a role of the organisation.
    #[serde(rename(deserialize = "role_name"))]
    pub role: String,
    /// Profile page.
    #[serde(rename(deserialize = "html_url"))]
    pub url: String,
}

/// Lists who may work on a repository, and in which role.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ListCollaborators {
    #[serde(flatten)]
    at: Repo,
    #[serde(flatten)]
    page: PageRequest,
}

impl Action for ListCollaborators {
    const NAME: &'static str = "list_collaborators";
    const RISK: Risk = Risk::Read;
    const PHRASES: &'static [&'static str] = &[
        "who can see or change the code",
        "people with access to the repository",
        "team members of a repo",
        "contributors and their permissions",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = COLLABORATORS_READ;
    type Output = Page<Collaborator>;

    async fn run(self, api: &Api) -> Result<Page<Collaborator>> {
        // https://docs.github.com/rest/collaborators/collaborators#list-repository-collaborators
        api.get("/repos/{}/{}/collaborators", &[&self.at.owner, &self.at.repo])
            .page(&self.page)
            .list()
            .await
    }
}

/// What a collaborator may do.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See it.
    Read,
    /// Sort issues and pull requests.
    Triage,
    /// Push to it.
    Write,
    /// Change most settings.
    Maintain,
    /// Everything.
    Admin,
}

impl Role {
    /// The word that requests take for it.
    fn permission(self) -> &'static str {
        match self {
            Self::Read => "pull",
            Self::Triage => "triage",
            Self::Write => "push",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }
}

/// Invites a person to work on a repository; GitHub sends them a mail that they have to accept.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct InviteCollaborator {
    #[serde(flatten)]
    at: Repo,
    login: String,
    /// In an organisation's repository only; default write.
    role: Option<Role>,
}

/// What became of an invitation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Invited {
    /// Login of the person.
    pub login: String,
    /// Whether an invitation waits to be accepted; if not, they could work on it already.
    pub pending: bool,
    /// Id of the invitation.
    pub invitation_id: Option<u64>,
    /// Page on which they accept it.
    pub url: Option<String>,
}

#[derive(Deserialize)]
struct Invitation {
    id: u64,
    html_url: String,
    invitee: Option<Invitee>,
    #[serde(default)]
    permissions: Option<String>,
}

impl Invitation {
    fn is_of(&self, login: &str) -> bool {
        self.invitee.as_ref().is_some_and(|invitee| invitee.login.eq_ignore_ascii_case(login))
    }
}

#[derive(Deserialize)]
struct Invitee {
    login: String,
}

impl Action for InviteCollaborator {
    const NAME: &'static str = "invite_collaborator";
    const RISK: Risk = Risk::Outward;
    const PHRASES: &'static [&'static str] = &[
        "give a developer access to the repo",
        "add a team member to the code",
        "share a repository with somebody",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ADMINISTRATION_WRITE;
    type Output = Invited;

    async fn run(self, api: &Api) -> Result<Invited> {
        // https://docs.github.com/rest/collaborators/collaborators#add-a-repository-collaborator
        let answer = api
            .put("/repos/{}/{}/collaborators/{}", &[&self.at.owner, &self.at.repo, &self.login])
            .fields(json!({"permission": self.role.map(Role::permission)}))
            .send_text()
            .await?;
        // 204 without a body: the person needs no invitation.
        let invitation = if answer.text.trim().is_empty() {
            None
        } else {
            Some(serde_json::from_str::<Invitation>(&answer.text).map_err(|error| {
                Error::new(
                    Code::UnknownOutcome,
                    format!("GitHub sent an answer that we do not understand ({error}). It says the invitation was sent. Look before trying again."),
                )
            })?)
        };
        Ok(Invited {
            login: self.login,
            pending: invitation.is_some(),
            invitation_id: invitation.as_ref().map(|invitation| invitation.id),
            url: invitation.map(|invitation| invitation.html_url),
        })
    }
}

/// Removes a person from a repository, or withdraws their invitation. Their own forks of a private one are deleted.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RemoveCollaborator {
    #[serde(flatten)]
    at: Repo,
    login: String,
}

/// Who was removed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Removed {
    /// Login of the person. They may still have access through the organisation.
    pub login: String,
    /// The role they had or were invited in, with which `invite_collaborator` invites again.
    pub role: Option<String>,
    /// Whether an open invitation was withdrawn; absent where GitHub's answer was lost.
    pub invitation_withdrawn: Option<bool>,
}

#[derive(Deserialize)]
struct Standing {
    role_name: String,
}

impl Action for RemoveCollaborator {
    const NAME: &'static str = "remove_collaborator";
    // No invitation brings a fork back.
    const RISK: Risk = Risk::Irreversible;
    const PHRASES: &'static [&'static str] = &[
        "revoke access to the repo",
        "remove a developer",
        "take away a colleague's rights",
        "kick somebody out",
        "a former employee loses access",
    ];
    const PERMISSIONS: &'static [&'static [&'static str]] = ADMINISTRATION_WRITE;
    type Output = Removed;

    async fn run(self, api: &Api) -> Result<Removed> {
        api.make_or_find(self.remove(api), || self.find(api)).await
    }
}

impl RemoveCollaborator {
    async fn remove(&self, api: &Api) -> Result<Removed> {
        let Repo { owner, repo } = &self.at;
        let open = self.invitations(api).await?;
        let invitation = open.items.into_iter().find(|one| one.is_of(&self.login));
        // https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user
        let standing: Option<Standing> = api
            .get("/repos/{}/{}/collaborators/{}/permission", &[owner, repo, &self.login])
            .send_optional()
            .await?;
        let invited = invitation.as_ref().and_then(|invitation| invitation.permissions.clone());
        let role = invited.or(standing.map(|standing| standing.role_name));
        if let Some(invitation) = &invitation {
            // https://docs.github.com/rest/collaborators/invitations#delete-a-repository-invitation
            api.delete("/repos/{}/{}/invitations/{}", &[owner, repo, &invitation.id])
                .send_empty()
                .await?;
        }
        // https://docs.github.com/rest/collaborators/collaborators#remove-a-repository-collaborator
        api.delete("/repos/{}/{}/collaborators/{}", &[owner, repo, &self.login])
            .send_empty()
            .await?;
        let invitation_withdrawn = Some(invitation.is_some());
        Ok(Removed { login: self.login.clone(), role, invitation_withdrawn })
    }

    /// The removal whose answer was lost, if the person is neither invited nor a collaborator.
    async fn find(&self, api: &Api) -> Result<Option<Removed>> {
        let open = self.invitations(api).await?;
        if open.next_cursor.is_some() || open.items.iter().any(|one| one.is_of(&self.login)) {
            return Ok(None);
        }
        // A token that may not ask for collaborators finds nobody; one that may finds whose it is, who administers this.
        let me = own_login(api).await?;
        if !self.has(api, &me).await? || self.has(api, &self.login).await? {
            return Ok(None);
        }
        Ok(Some(Removed { login: self.login.clone(), role: None, invitation_withdrawn: None }))
    }

    /// Whether somebody is shown as a collaborator.
    async fn has(&self, api: &Api, login: &str) -> Result<bool> {
        let Repo { owner, repo } = &self.at;
        // https://docs.github.com/rest/collaborators/collaborators#check-if-a-user-is-a-repository-collaborator
        match api.get("/repos/{}/{}/collaborators/{}", &[owner, repo, &login]).send_empty().await {
            Err(error) if error.code() == Code::NotFound => Ok(false),
            shown => shown.map(|()| true),
        }
    }

    async fn invitations(&self, api: &Api) -> Result<Page<Invitation>> {
        // https://docs.github.com/rest/collaborators/invitations#list-repository-invitations
        api.get("/repos/{}/{}/invitations", &[&self.at.owner, &self.at.repo])
            .query("per_page", 100)
            .list()
            .await
    }
}

#[cfg(test)]
mod tests;
