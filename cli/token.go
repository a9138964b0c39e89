package cli

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
)

func tokenCreate() command {
	var role string
	var orphan bool
	fields := body{}
	return command{
		usage:      "[options]",
		synopsis:   "Create a token",
		about:      "Creates a token that is a child of the one in use. It ends with its parent\nunless it is an orphan.",
		examples:   []string{"token create -policy=app-readonly -ttl=1h"},
		selectable: true,
		flags: func(set *flag.FlagSet) {
			set.StringVar(&role, "role", "", "Create it by this token role's rules, by `NAME`.")
			set.BoolVar(&orphan, "orphan", false, "Let it outlive the token in use.")
			tokenFields(set, fields)
		},
		run: func(ctx context.Context, s *session, _ []string) error {
			path := "auth/token/create"
			switch {
			case role != "" && orphan:
				return badInput("the role decides whether its tokens are orphans", "-role and -orphan exclude each other")
			case role != "":
				path += "/" + role
			case orphan:
				path += "-orphan"
			}
			answer, err := s.put(ctx, path, fields)
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Created a token")
		},
	}
}

// tokenFields adds the flags that describe a new token.
func tokenFields(set *flag.FlagSet, fields body) {
	fields.duration(set, "ttl", "Time to live, a `DURATION` such as 1h.")
	fields.duration(set, "explicit-max-ttl", "Longest life whatever the renewals, a `DURATION`.")
	fields.duration(set, "period", "Make it periodic: each renewal grants this `DURATION`.")
	fields.text(set, "display-name", "`NAME` to show in logs and user names.")
	fields.text(set, "id", "Use this `TOKEN` instead of a random one (root only).")
	fields.text(set, "type", "`TYPE` of the token: service or batch.")
	fields.yes(set, "renewable", "renewable", "Whether it can be renewed; -renewable=false forbids it.")
	fields.yes(set, "no-default-policy", "no_default_policy", "Leave the policy named default out.")
	fields.count(set, "use-limit", "num_uses", "Number of requests after which it ends, as `COUNT`.")
	set.Func("policy", "Attach this policy, by `NAME`; may be repeated.", func(name string) error {
		names, _ := fields["policies"].([]string)
		fields["policies"] = append(names, name)
		return nil
	})
	set.Func("metadata", "Note `KEY=VALUE` on the token; may be repeated.", func(pair string) error {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return fmt.Errorf("a note is KEY=VALUE")
		}
		notes, ok := fields["meta"].(map[string]string)
		if !ok {
			notes = make(map[string]string)
			fields["meta"] = notes
		}
		notes[key] = value
		return nil
	})
}

// tokenTarget is the token a command is about: the one in use unless an
// argument names another, by itself or by its accessor.
type tokenTarget struct{ byAccessor bool }

func (t *tokenTarget) flags(set *flag.FlagSet) {
	set.BoolVar(&t.byAccessor, "accessor", false, "The argument is an accessor, not a token.")
}

// resolve returns the suffix of the API path and the field that names the token.
func (t *tokenTarget) resolve(s *session, args []string) (suffix string, fields body, err error) {
	switch {
	case len(args) == 0 && t.byAccessor:
		return "", nil, badInput("add the accessor", "-accessor needs an argument")
	case len(args) == 0:
		return "-self", body{}, nil
	case t.byAccessor:
		return "-accessor", body{"accessor": args[0]}, nil
	}
	token, err := s.secretArg(args[0])
	return "", body{"token": token}, err
}

func tokenLookup() command {
	var target tokenTarget
	return command{
		usage:      "[options] [TOKEN|ACCESSOR]",
		synopsis:   "Show a token's policies and life",
		about:      "Shows the token in use, or the one given; - reads it from standard input.",
		examples:   []string{"token lookup"},
		maxArgs:    1,
		selectable: true,
		flags:      target.flags,
		run: func(ctx context.Context, s *session, args []string) error {
			suffix, fields, err := target.resolve(s, args)
			if err != nil {
				return err
			}
			var answer *answer
			if suffix == "-self" {
				answer, err = s.get(ctx, "auth/token/lookup-self", nil)
			} else {
				answer, err = s.put(ctx, "auth/token/lookup"+suffix, fields)
			}
			if err != nil {
				return err
			}
			return s.output.answer(answer)
		},
	}
}

func tokenRenew() command {
	var target tokenTarget
	increment := body{}
	return command{
		usage:      "[options] [TOKEN|ACCESSOR]",
		synopsis:   "Extend a token's life",
		about:      "Extends the token in use, or the one given; - reads it from standard input.",
		examples:   []string{"token renew -increment=1h"},
		maxArgs:    1,
		selectable: true,
		flags: func(set *flag.FlagSet) {
			target.flags(set)
			increment.seconds(set, "increment", "Wish for this `DURATION` from now on, such as 1h.")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			suffix, fields, err := target.resolve(s, args)
			if err != nil {
				return err
			}
			if wish, ok := increment["increment"]; ok {
				fields["increment"] = wish
			}
			answer, err := s.put(ctx, "auth/token/renew"+suffix, fields)
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Renewed the token")
		},
	}
}

func tokenRevoke() command {
	var target tokenTarget
	var self, orphan bool
	return command{
		usage:    "[options] [TOKEN|ACCESSOR]",
		synopsis: "End a token with its leases and children",
		about:    "Ends the token given, its children and all their leases; - reads it from\nstandard input. The token in use ends only with -self.",
		examples: []string{"token revoke -self"},
		maxArgs:  1,
		flags: func(set *flag.FlagSet) {
			target.flags(set)
			set.BoolVar(&self, "self", false, "End the token in use.")
			set.BoolVar(&orphan, "orphan", false, "End this token only; its children live on as orphans.")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			if self == (len(args) > 0) {
				return badInput("pass a TOKEN, -accessor ACCESSOR or -self", "there must be exactly one token to revoke")
			}
			if orphan && (self || target.byAccessor) {
				return badInput("pass the TOKEN itself", "-orphan goes neither with -self nor with -accessor")
			}
			suffix, fields, err := target.resolve(s, args)
			if err != nil {
				return err
			}
			if orphan {
				suffix = "-orphan"
			}
			answer, err := s.put(ctx, "auth/token/revoke"+suffix, fields)
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Revoked token (if it existed)")
		},
	}
}

func tokenCapabilities() command {
	return command{
		usage:    "[options] [TOKEN] PATH",
		synopsis: "Show what a token may do at a path",
		about:    "Shows what the token in use, or the one given, may do at PATH.",
		examples: []string{"token capabilities database/creds/app-readonly"},
		minArgs:  1,
		maxArgs:  2,
		run: func(ctx context.Context, s *session, args []string) error {
			path, fields := "sys/capabilities-self", body{"paths": args[len(args)-1:]}
			if len(args) == 2 {
				token, err := s.secretArg(args[0])
				if err != nil {
					return err
				}
				path, fields = "sys/capabilities", fields.with("token", token)
			}
			answer, err := s.put(ctx, path, fields)
			if err != nil {
				return err
			}
			return s.output.capabilities(answer, args[len(args)-1])
		},
	}
}

// capabilities prints what is allowed at path, in one sorted line.
func (o *output) capabilities(a *answer, path string) error {
	var allowed []string
	if a.secret != nil {
		list, _ := a.secret.Data[path].([]any)
		for _, capability := range list {
			allowed = append(allowed, plainText(capability))
		}
	}
	if len(allowed) == 0 {
		return &failure{err: fmt.Errorf("the answer names no capabilities for %q", path), code: ExitServer}
	}
	slices.Sort(allowed)
	if !o.forHumans() {
		return o.encoded(allowed)
	}
	o.message("%s", strings.Join(allowed, ", "))
	return nil
}
