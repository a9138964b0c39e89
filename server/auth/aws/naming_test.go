package aws

import "testing"

func TestAClientIsCalledAsConfigured(t *testing.T) {
	r := &role{ID: "the-role"}
	p := principal{ARN: "arn:aws:sts::1:assumed-role/app/i-0", Canonical: "arn:aws:iam::1:role/app", UserID: "AROA:i-0"}
	for alias, want := range map[string]string{
		"": "the-role", "role_id": "the-role", "unique_id": "AROA", "canonical_arn": p.Canonical, "full_arn": p.ARN,
	} {
		if got := (&naming{Alias: alias}).name(r, p); got != want {
			t.Errorf("%q: %q, want %q", alias, got, want)
		}
	}
}
