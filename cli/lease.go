package cli

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"strings"
)

func leaseRenew() command {
	fields := body{}
	return command{
		usage:      "[options] LEASE_ID",
		synopsis:   "Extend a lease",
		about:      "Extends the lease, at most to the maximum TTL of its role.",
		examples:   []string{"lease renew -increment=2h database/creds/app-readonly/abc123"},
		minArgs:    1,
		maxArgs:    1,
		selectable: true,
		flags: func(set *flag.FlagSet) {
			fields.seconds(set, "increment", "Wish for this `DURATION` from now on, such as 2h or 3600.")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			answer, err := s.put(ctx, "sys/leases/renew", fields.with("lease_id", args[0]))
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Renewed lease: %s", args[0])
		},
	}
}

func leaseLookup() command {
	return command{
		usage:      "[options] LEASE_ID",
		synopsis:   "Show when a lease was issued and ends",
		about:      "Shows when the lease was issued and renewed, when it ends, and its time to live.",
		examples:   []string{"lease lookup database/creds/app-readonly/abc123"},
		minArgs:    1,
		maxArgs:    1,
		selectable: true,
		run: func(ctx context.Context, s *session, args []string) error {
			answer, err := s.put(ctx, "sys/leases/lookup", body{"lease_id": args[0]})
			if err != nil {
				return err
			}
			if answer.secret == nil {
				return nothingAt(args[0])
			}
			return s.output.answer(answer)
		},
	}
}

// revocation is what lease revoke was asked for.
type revocation struct {
	prefix bool // target is a path whose leases all end
	force  bool // forget the leases even if the target system refuses
	sync   bool // wait until it is done
	target string
}

func leaseRevoke() command {
	var asked revocation
	return command{
		usage:    "[options] LEASE_ID|PREFIX",
		synopsis: "End a lease, or all under a path",
		about: "Ends the lease and its credential; with -prefix, all leases under a path. The\n" +
			"server works the revocations off on its own; -sync waits until they are done.",
		examples: []string{
			"lease revoke database/creds/app-readonly/abc123",
			"lease revoke -prefix database/creds/app-readonly",
			"lease revoke -prefix database/",
		},
		minArgs: 1,
		maxArgs: 1,
		flags: func(set *flag.FlagSet) {
			set.BoolVar(&asked.prefix, "prefix", false, "The argument is a path; end every lease under it.")
			set.BoolVar(&asked.force, "force", false, "With -prefix: forget the leases even where the credential could\n"+
				"not be ended, which leaves it to you to end it by hand.")
			set.BoolVar(&asked.sync, "sync", false, "Return only when the revocations are done.")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			asked.target = args[0]
			return s.revoke(ctx, asked)
		},
	}
}

// revoke asks the server to end leases and tells how far it got.
func (s *session) revoke(ctx context.Context, r revocation) error {
	if r.force && !r.prefix {
		return badInput(fmt.Sprintf("type %s lease revoke -prefix -force PATH", s.program), "-force needs -prefix")
	}
	path, fields := "sys/leases/revoke", body{"lease_id": r.target, "sync": r.sync}
	done := fmt.Sprintf("Success! Revoked lease: %s", r.target)
	if r.prefix {
		prefix, err := cleanPath(r.target)
		if err != nil {
			return err
		}
		path, fields = "sys/leases/revoke-prefix/"+prefix, body{"sync": r.sync}
		done = fmt.Sprintf("Success! Revoked any leases with prefix: %s", r.target)
		if r.force {
			path, fields = "sys/leases/revoke-force/"+prefix, nil
			done = fmt.Sprintf("Success! Force revoked any leases with prefix: %s", r.target)
		}
	}
	answer, err := s.put(ctx, path, fields)
	if err != nil {
		return err
	}
	if !r.sync && !r.force {
		done = "All revocation operations queued successfully!"
	}
	return s.output.outcome(answer, "%s", strings.TrimSpace(done))
}

// with returns the fields and one more.
func (b body) with(name string, value any) body {
	all := maps.Clone(b)
	all[name] = value
	return all
}
