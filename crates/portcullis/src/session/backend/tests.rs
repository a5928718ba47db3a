use portcullis_store::Realm;

use super::*;

/// A backend that never answers, and says that it does within this time.
struct Silent(Option<Duration>);

async fn silence<T>() -> Result<T, StoreError> {
    std::future::pending().await
}

impl SessionBackend for Silent {
    fn budget(&self) -> Option<Duration> {
        self.0
    }

    async fn load(&self, _: Key<'_>) -> Result<Option<Record>, StoreError> {
        silence().await
    }

    async fn load_many(&self, _: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
        silence().await
    }

    async fn create(&self, _: Key<'_>, _: &Record) -> Result<Created, StoreError> {
        silence().await
    }

    async fn save(&self, _: Key<'_>, _: Tag, _: &Record) -> Result<Saved, StoreError> {
        silence().await
    }

    async fn touch(&self, _: Key<'_>) -> Result<Touched, StoreError> {
        silence().await
    }

    async fn destroy(&self, _: &[Key<'_>]) -> Result<(), StoreError> {
        silence().await
    }

    async fn destroy_unchanged(&self, _: Key<'_>, _: Tag, _: Tag) -> Result<Destroyed, StoreError> {
        silence().await
    }

    async fn enrol(&self, _: Locator, _: Enrolment<'_>) -> Result<Enrolled, StoreError> {
        silence().await
    }

    async fn withdraw(&self, _: UserKey<'_>, _: &[Locator]) -> Result<(), StoreError> {
        silence().await
    }

    async fn members(&self, _: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        silence().await
    }

    async fn credential_version(&self, _: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
        silence().await
    }

    async fn bump_credential_version(
        &self,
        _: UserKey<'_>,
        _: Duration,
    ) -> Result<CredentialVersion, StoreError> {
        silence().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_timed_unless_it_is_as_quick_of_its_own_accord() {
    let millis = Duration::from_millis;
    let realm = Realm::default();
    let key = Key { realm: &realm, locator: Locator::from_bytes([0; 16]) };
    let rows = [
        ("it says nothing", None, true),
        ("it takes longer", Some(millis(101)), true),
        ("it takes as long", Some(millis(100)), false),
        ("it is quicker", Some(millis(50)), false),
    ];
    for (name, own, is_timed) in rows {
        let mut backend = Backend::new(Silent(own), millis(10));
        backend.set_budget(millis(100));
        let answer = tokio::time::timeout(millis(1000), backend.load(key)).await;
        assert_eq!(answer.is_ok(), is_timed, "{name}");
        let several = backend.within_budget(async { backend.load(key).await });
        let answer = tokio::time::timeout(millis(1000), several).await;
        assert!(answer.is_ok(), "{name}: several calls are timed in any case");
    }
}
