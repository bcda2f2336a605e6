import pytest

from privsynth.policy.column_meaning import guess, meaning


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("zip", "zip"), ("ZipCode", "zip"), ("patient_zip3", "zip"), ("postal code", "zip"), ("AGE", "age"),
        ("ageGroup", "age"),
        ("age_at_inception", "age"), ("first_name", "name"), ("Surname", "name"), ("name", "name"), ("patient-name", "name"),
        ("city", "geography"), ("COUNTY", "geography"), ("lat", "geography"), ("census_tract", "geography"),
        ("street address", "geography"), ("email_address", "e-mail"), ("E-Mail", "e-mail"), ("ip_address", "ip-address"),
        ("homePhone", "phone"), ("phone_number", "phone"), ("fax", "fax"), ("SSN", "us-ssn"),
        ("social_security_number", "us-ssn"),
        ("MRN", "mrn"), ("medical_record_no", "mrn"), ("member_id", "health-plan"), ("account_number", "account"),
        ("IBAN", "account"),
        ("license_plate", "license"), ("npi", "license"), ("vin", "vehicle"), ("device_serial", "device"), ("website", "url"),
        ("fingerprint", "biometric"), ("photo", "photo"), ("dob", "birth-year"), ("BIRTHDATE", "birth-year"),
        ("year_of_birth", "birth-year"), ("admit_date", "date"), ("month", "date"), ("day_of_week", "date"),
    ],
)  # fmt: skip
def test_names_that_say_what_they_hold(name, holds):
    assert guess(name) == holds


@pytest.mark.parametrize(
    "name",
    [
        "race", "time_in_hospital", "num_lab_procedures", "birth_weight", "average_pay", "hours-per-week", "drug_name", "stage",
        "LIMIT_BAL", "PAY_0", "admission_type_id", "medical_specialty", "readmitted", "occupation", "capacity", "sipping",
        "year",
        "addr_state", "language", "diag_1", "updated_by", "",
    ],
)  # fmt: skip
def test_names_that_say_nothing_of_the_kind(name):
    assert guess(name) is None


def test_the_policy_has_the_last_word():
    assert meaning("alter", declared={"alter": "age"}, cleared={}) == "age"
    assert meaning("zip", declared={"zip": "age"}, cleared={}) == "age"
    assert meaning("month", declared={}, cleared={"month": "a duration"}) is None
    assert meaning("month", declared={}, cleared={"day": "a duration"}) == "date"
