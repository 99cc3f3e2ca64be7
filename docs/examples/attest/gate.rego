# May this instance take traffic? The input is what `driftd attest --verify FILE --key PUB --json` prints: it is verified.
# Each rule says what has to be so; what is missing, or cannot be read, is not so.
package gate

import rego.v1

default allow := false

allow if count(deny) == 0

deny contains "it is no verified attestation of driftd's" if not verified

verified if {
	input.schema == "driftd.attestation/1"
	input.verified == true
}

deny contains "it did not pass" if not input.verificationResult == "PASSED"

deny contains sprintf("%s: %s", [failure, input.reason]) if some failure in input.failures

deny contains "it was not looked at within the last ten minutes" if not fresh

fresh if input.age <= 600

deny contains "nobody visited it: the store told of it" if not input.look.recalled == false

deny contains "not all of its files could be read" if not input.coverage.unreadable == 0

deny contains sprintf("%s accepted a finding: %s", [one.owner, one.reason]) if some one in input.acceptances
