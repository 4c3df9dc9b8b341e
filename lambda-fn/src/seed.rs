//! The record that is there from the start.

use crate::concurrency::{Precondition, Tags};
use crate::resource::Resource;
use crate::store::{Key, Put, PutOutcome, Store, StoreError};
use crate::time::Timestamp;

/// The Patient of the original system; its id is `P123456`, which it did not have there.
pub const BUILTIN: &str = include_str!("../seed-patient.json");
/// The id it is stored under: its business identifier.
pub const BUILTIN_ID: &str = "P123456";

/// Stores the resource under that key unless one is there or was there; whether it did.
pub async fn plant<S: Store>(
    store: &S,
    key: Key,
    resource: Resource,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if store.get(&key).await?.is_some() {
        return Ok(false);
    }
    // Another process may be planting as well: the store decides.
    let precondition = Precondition { matching: None, not_matching: Some(Tags::Any) };
    let put = Put { key, resource, precondition, unless: Vec::new(), now };
    Ok(matches!(store.put_if(put).await?, PutOutcome::Created(_)))
}

/// The key of the built-in record.
pub fn builtin_key() -> Key {
    let id = BUILTIN_ID.parse().expect("the built-in id keeps to the grammar");
    Key { kind: fhir::ResourceType::PATIENT, id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_record_is_a_patient_with_its_identifier() {
        let resource = Resource::parse(BUILTIN.as_bytes()).unwrap();
        let stamped = resource.stamped(&builtin_key().id, fhir::VersionId::FIRST, Timestamp::from_ms(0));
        assert_eq!(stamped["id"], "P123456");
        assert_eq!(stamped["identifier"][0]["value"], "P123456");
        assert_eq!(stamped["name"][0]["family"], "Doe");
    }
}
