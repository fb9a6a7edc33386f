//! Room for so many of each tenant at the same time; more are turned away.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use resto_vault::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{KEPT, kept};

/// Room for so many of each tenant.
pub(super) struct Room {
    places: usize,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    /// The tenants' places by the access tokens that found none free, which are not kept themselves.
    turned_away: Mutex<HashMap<u64, Weak<Semaphore>>>,
    hasher: RandomState,
}

impl Room {
    pub fn of(places: usize) -> Self {
        Self {
            places,
            tenants: Mutex::default(),
            turned_away: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    fn turned_away(&self) -> MutexGuard<'_, HashMap<u64, Weak<Semaphore>>> {
        self.turned_away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tenant of a token that was turned away still has no place free.
    pub fn is_full_for(&self, token: &str) -> bool {
        let places = self.turned_away().get(&self.hasher.hash_one(token)).and_then(Weak::upgrade);
        places.is_some_and(|places| places.available_permits() == 0)
    }

    /// A place; none where the tenant has all of its.
    pub fn enter(&self, tenant: TenantId, token: &str) -> Option<OwnedSemaphorePermit> {
        let places = kept(&self.tenants, tenant, || Semaphore::new(self.places));
        let place = places.clone().try_acquire_owned().ok();
        if place.is_none() {
            let mut turned_away = self.turned_away();
            if turned_away.len() >= KEPT {
                turned_away.clear();
            }
            turned_away.insert(self.hasher.hash_one(token), Arc::downgrade(&places));
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e7_a_token_is_turned_away_unasked_only_while_its_business_has_no_place_left() {
        let room = Room::of(1);
        let [one, other] = [1, 2].map(|n| uuid::Uuid::from_u128(n).to_string().parse().unwrap());
        let place = room.enter(one, "a token").unwrap();
        assert!(!room.is_full_for("a token"), "it was not turned away yet");
        assert!(room.enter(one, "a token").is_none());
        assert!(room.is_full_for("a token"));
        assert!(!room.is_full_for("another token"), "it may be anybody's");
        assert!(room.enter(other, "another token").is_some());
        drop(place);
        assert!(!room.is_full_for("a token"));
        assert!(room.enter(one, "a token").is_some());
    }
}
