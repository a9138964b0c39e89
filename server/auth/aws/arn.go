package aws

import (
	"fmt"
	"regexp"
	"strings"
)

// principal is whom AWS says that a client is.
type principal struct {
	ARN       string // as AWS says
	Canonical string // of the user or role behind it, without path or session
	Name      string // of that user or role
	Account   string
	UserID    string
}

// parsePrincipal reads the ARN of a user (arn:aws:iam::ACCOUNT:user/PATH/NAME)
// or of a session of a role (arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION).
func parsePrincipal(arn string) (principal, error) {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" || !account.MatchString(fields[4]) {
		return principal{}, fmt.Errorf("%q is not the ARN of a principal", arn)
	}
	p := principal{ARN: arn, Account: fields[4]}
	kind, rest, _ := strings.Cut(fields[5], "/")
	switch {
	case fields[2] == "iam" && (kind == "user" || kind == "role"):
		p.Name = rest[strings.LastIndexByte(rest, '/')+1:]
	case fields[2] == "sts" && kind == "assumed-role":
		kind = "role"
		p.Name, _, _ = strings.Cut(rest, "/")
	default:
		return principal{}, fmt.Errorf("%q is neither a user nor a role", arn)
	}
	if p.Name == "" {
		return principal{}, fmt.Errorf("%q names nobody", arn)
	}
	p.Canonical = fmt.Sprintf("arn:%s:iam::%s:%s/%s", fields[1], p.Account, kind, p.Name)
	return p, nil
}

var (
	account = regexp.MustCompile(`^[0-9]{12}$`)
	// everybody is a pattern for principals of one account: * is at the end.
	everybody = regexp.MustCompile(`^arn:[a-z-]+:iam::[0-9]{12}:[^*]*\*$`)
)

// checkBound says what is wrong with a bound_iam_principal_arn.
func checkBound(bound string) error {
	if everybody.MatchString(bound) {
		return nil
	}
	exact, err := parsePrincipal(bound)
	if err != nil || strings.Contains(bound, "*") || strings.Contains(exact.ARN, ":assumed-role/") {
		return fmt.Errorf("bound_iam_principal_arn: %q is neither like arn:aws:iam::123456789012:role/app "+
			"nor like arn:aws:iam::123456789012:role/app-*, with * at the end of one account's names", bound)
	}
	return nil
}

// within reports whether p is one of those bound. Paths of users and roles do
// not matter, except to a pattern, which sees that of a user.
func (p principal) within(bound string) bool {
	if prefix, ok := strings.CutSuffix(bound, "*"); ok {
		return strings.HasPrefix(p.Canonical, prefix) || strings.HasPrefix(p.ARN, prefix)
	}
	exact, err := parsePrincipal(bound)
	return err == nil && exact.Canonical == p.Canonical
}
