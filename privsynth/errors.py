"""Every error privsynth raises, as one tree with one exit code per branch.

Must never carry a private value: a message names a column, a rule, a file or a policy key, and says what to do.

```text
PrivsynthError                 1   something failed that is none of the below
|- InputError                  2   bad input
|  |- PolicyError                  the policy file is wrong; may quote the file and line
|  |- SchemaError                  the schema contradicts itself; may quote the schema
|  |- RecordsError                 the table does not fit its schema; names column and rule, never a cell or a count
|  |  `- SyntheticSource               a table that says it is synthetic was given for a real one
|  |- MechanismError               a parameter outside its range; raised before data is touched
|  `- OutputError                  the output folder cannot be used
|- RefusedError                3   refused by policy or budget
|  |- BudgetExceeded               asked, remaining, for what
|  |- LedgerError                  the ledger is locked, read-only, corrupted or older than its checkpoint
|  `- PolicyRefusal                the policy forbids this release
|- AuditError                  4   an attack could not be carried out: a refusal, never a result of zero
|  `- AuditFailed                  the audit ran, and its verdict is not PASS
|- CertificateError            5   verification failed
|  |- SignatureInvalid
|  |- SubjectMismatch              a file is missing, added or changed
|  |- ClaimMismatch                the statement says something else than was asked for
|  |- Expired
|  `- Revoked
`- FitError                    1   a model did not reach its tolerance; from public numbers only
   `- OutOfMemory                  memory ran out; what was answered is kept where a journal is
```
"""

from __future__ import annotations

from typing import ClassVar


class PrivsynthError(Exception):
    """The root of the tree; `exit_code` is what the command line returns for it."""

    exit_code: ClassVar[int] = 1


class InputError(PrivsynthError):
    """Bad input: nothing was spent and nothing was written."""

    exit_code: ClassVar[int] = 2


class PolicyError(InputError):
    """The policy or audit plan is wrong; the message may quote the file and line."""


class SchemaError(InputError):
    """The schema contradicts itself; the message may quote the schema, which is public."""


class RecordsError(InputError):
    """The table does not fit its schema; the message names column and rule, never a cell or an exact count."""


class SyntheticSource(RecordsError):
    """A table was given for a real one, and says of itself that it is synthetic; nothing was spent."""


class MechanismError(InputError):
    """A mechanism's parameter is outside its range; raised before data is touched."""


class OutputError(InputError):
    """The output folder cannot be used."""


class RefusedError(PrivsynthError):
    """Refused by the policy or by the budget."""

    exit_code: ClassVar[int] = 3


class BudgetExceeded(RefusedError):
    """More budget was asked for than remains."""


class LedgerError(RefusedError):
    """The ledger cannot be trusted or written: locked, read-only, corrupted or behind its checkpoint."""


class PolicyRefusal(RefusedError):
    """The policy forbids this release."""


class AuditError(PrivsynthError):
    """An attack could not be carried out: a refusal, never a risk of zero."""

    exit_code: ClassVar[int] = 4


class AuditFailed(AuditError):
    """The audit ran to its end and its verdict is not PASS."""


class CertificateError(PrivsynthError):
    """Verification failed."""

    exit_code: ClassVar[int] = 5


class SignatureInvalid(CertificateError):
    """No trusted key signed these bytes."""


class SubjectMismatch(CertificateError):
    """A file of the release is missing, added or changed."""


class ClaimMismatch(CertificateError):
    """The statement does not say what was asked of it."""


class Expired(CertificateError):
    """The certificate or the key is past its date."""


class Revoked(CertificateError):
    """The key that signed was revoked."""


class FitError(PrivsynthError):
    """A model did not reach its tolerance; the message holds public numbers only."""


class OutOfMemory(FitError):
    """Memory ran out: with more of it, the same command goes on where there is a journal, and nothing is spent twice."""
