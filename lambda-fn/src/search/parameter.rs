//! The search parameters that are offered: one table, which the index, the search and the CapabilityStatement share.
//! Names, kinds and paths are those of <https://hl7.org/fhir/R4/searchparameter-registry.html>.

use fhir::ResourceType;

/// How values of a parameter compare (<https://hl7.org/fhir/R4/search.html#ptypes>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Exact, with an optional system: codes, identifiers, truth values.
    Token,
    /// By the beginning, whatever the case and the accents.
    String,
    /// Intervals of time.
    Date,
    /// Another resource.
    Reference,
}

/// One parameter on the types that have it.
#[derive(Debug)]
pub struct Parameter {
    /// What stands before the `=`.
    pub name: &'static str,
    /// How its values compare.
    pub kind: Kind,
    /// Where the values are: member names joined by dots; alternatives joined by `|`. Lists are entered.
    pub path: &'static str,
    /// The system of bare codes at that place, which the element's binding implies; else empty.
    pub system: &'static str,
    /// The types it is offered on.
    pub on: &'static [&'static str],
}

/// The parameter of that name on that type.
pub fn find(kind: ResourceType, name: &str) -> Option<&'static Parameter> {
    of(kind).find(|parameter| parameter.name == name)
}

/// The parameters of a type, without `_id` and `_lastUpdated`, which every type has.
pub fn of(kind: ResourceType) -> impl Iterator<Item = &'static Parameter> {
    PARAMETERS.iter().filter(move |parameter| parameter.on.contains(&kind.as_str()))
}

impl Kind {
    /// The code of the value set `search-param-type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::String => "string",
            Self::Date => "date",
            Self::Reference => "reference",
        }
    }
}

const fn parameter(
    name: &'static str,
    kind: Kind,
    path: &'static str,
    on: &'static [&'static str],
) -> Parameter {
    Parameter { name, kind, path, system: "", on }
}

#[rustfmt::skip]
const PARAMETERS: &[Parameter] = &[
    parameter("identifier", Kind::Token, "identifier", IDENTIFIED),
    parameter("name", Kind::String, "name", &["Patient", "Person", "Practitioner", "RelatedPerson", "HealthcareService", "Endpoint"]),
    parameter("name", Kind::String, "name|alias", &["Organization", "Location"]),
    parameter("family", Kind::String, "name.family", &["Patient", "Practitioner"]),
    parameter("given", Kind::String, "name.given", &["Patient", "Practitioner"]),
    parameter("birthdate", Kind::Date, "birthDate", &["Patient", "Person", "RelatedPerson"]),
    Parameter {
        system: "http://hl7.org/fhir/administrative-gender",
        ..parameter("gender", Kind::Token, "gender", &["Patient", "Person", "Practitioner", "RelatedPerson"])
    },
    parameter("active", Kind::Token, "active", &["Patient", "Practitioner", "Organization", "PractitionerRole", "RelatedPerson", "HealthcareService"]),
    parameter("address", Kind::String, "address", &["Patient", "Person", "Practitioner", "RelatedPerson", "Organization", "Location"]),
    parameter("organization", Kind::Reference, "managingOrganization", &["Patient", "Person", "Location"]),
    parameter("general-practitioner", Kind::Reference, "generalPractitioner", &["Patient"]),
    parameter("patient", Kind::Reference, "subject", SUBJECTED),
    parameter("patient", Kind::Reference, "patient", &["AllergyIntolerance", "Immunization", "RelatedPerson", "Claim", "ExplanationOfBenefit", "Device", "EpisodeOfCare"]),
    parameter("patient", Kind::Reference, "beneficiary", &["Coverage"]),
    parameter("subject", Kind::Reference, "subject", SUBJECTED),
    parameter("encounter", Kind::Reference, "encounter", &["Observation", "Condition", "Procedure", "DiagnosticReport", "MedicationRequest", "CarePlan", "ServiceRequest"]),
    parameter("code", Kind::Token, "code", &["Observation", "Condition", "Procedure", "AllergyIntolerance", "DiagnosticReport", "Medication", "ServiceRequest"]),
    parameter("code", Kind::Token, "medicationCodeableConcept", &["MedicationRequest", "MedicationStatement", "MedicationAdministration"]),
    parameter("vaccine-code", Kind::Token, "vaccineCode", &["Immunization"]),
    parameter("category", Kind::Token, "category", &["Observation", "Condition", "AllergyIntolerance", "DiagnosticReport", "CarePlan", "ServiceRequest", "Procedure", "MedicationRequest"]),
    parameter("status", Kind::Token, "status", &["Observation", "Encounter", "Procedure", "MedicationRequest", "MedicationStatement", "Immunization", "DiagnosticReport", "CarePlan", "ServiceRequest"]),
    parameter("clinical-status", Kind::Token, "clinicalStatus", &["Condition", "AllergyIntolerance"]),
    parameter("date", Kind::Date, "effectiveDateTime|effectivePeriod|effectiveInstant", &["Observation", "DiagnosticReport"]),
    parameter("date", Kind::Date, "performedDateTime|performedPeriod", &["Procedure"]),
    parameter("date", Kind::Date, "period", &["Encounter", "CarePlan"]),
    parameter("date", Kind::Date, "occurrenceDateTime", &["Immunization"]),
    parameter("date", Kind::Date, "recordedDate", &["AllergyIntolerance"]),
    parameter("onset-date", Kind::Date, "onsetDateTime|onsetPeriod", &["Condition"]),
    parameter("recorded-date", Kind::Date, "recordedDate", &["Condition"]),
    parameter("authoredon", Kind::Date, "authoredOn", &["MedicationRequest"]),
];

#[rustfmt::skip]
const SUBJECTED: &[&str] = &[
    "CarePlan", "CareTeam", "ClinicalImpression", "Composition", "Condition", "DiagnosticReport", "DocumentReference",
    "Encounter", "Flag", "Goal", "ImagingStudy", "List", "MedicationAdministration", "MedicationDispense",
    "MedicationRequest", "MedicationStatement", "Observation", "Procedure", "QuestionnaireResponse", "RiskAssessment",
    "ServiceRequest", "Specimen",
];

#[rustfmt::skip]
const IDENTIFIED: &[&str] = &[
    "Account", "AllergyIntolerance", "Appointment", "Bundle", "CarePlan", "CareTeam", "Claim", "ClinicalImpression",
    "Communication", "Composition", "Condition", "Consent", "Coverage", "Device", "DeviceRequest", "DiagnosticReport",
    "DocumentReference", "Encounter", "Endpoint", "EpisodeOfCare", "ExplanationOfBenefit", "FamilyMemberHistory", "Flag",
    "Goal", "Group", "HealthcareService", "ImagingStudy", "Immunization", "List", "Location", "Medication",
    "MedicationAdministration", "MedicationDispense", "MedicationRequest", "MedicationStatement", "NutritionOrder",
    "Observation", "Organization", "Patient", "Person", "Practitioner", "PractitionerRole", "Procedure", "Questionnaire",
    "QuestionnaireResponse", "RelatedPerson", "RiskAssessment", "Schedule", "ServiceRequest", "Slot", "Specimen",
    "Substance", "SupplyDelivery", "SupplyRequest", "Task", "VisionPrescription",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_in_the_table_exists_and_has_each_name_once() {
        for parameter in PARAMETERS {
            for name in parameter.on {
                let kind: ResourceType = name.parse().unwrap();
                assert_eq!(
                    of(kind).filter(|other| other.name == parameter.name).count(),
                    1,
                    "{name} {}",
                    parameter.name
                );
            }
        }
    }
}
