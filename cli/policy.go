package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
)

const policyPath = "sys/policies/acl"

func policyWrite() command {
	return command{
		usage:    "[options] NAME FILE",
		synopsis: "Create or replace a policy",
		about:    "Uploads the rules in FILE, or on standard input for -, as the policy NAME.",
		examples: []string{"policy write app-readonly app-readonly.hcl"},
		minArgs:  2,
		maxArgs:  2,
		run: func(ctx context.Context, s *session, args []string) error {
			rules, err := s.rules(args[1])
			if err != nil {
				return err
			}
			answer, err := s.put(ctx, policyPath+"/"+args[0], body{"policy": rules})
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Uploaded policy: %s", args[0])
		},
	}
}

// rules reads a policy's text.
func (s *session) rules(file string) (string, error) {
	if file == "-" {
		return s.secretArg(file)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", badInput("name a readable file, or - for standard input", "reading the policy: %w", err)
	}
	return string(content), nil
}

func policyRead() command {
	return command{
		usage:      "[options] NAME",
		synopsis:   "Print a policy",
		about:      "Prints the rules of the policy NAME.",
		examples:   []string{"policy read app-readonly"},
		minArgs:    1,
		maxArgs:    1,
		selectable: true,
		run: func(ctx context.Context, s *session, args []string) error {
			answer, err := s.get(ctx, policyPath+"/"+args[0], nil)
			if err != nil {
				return err
			}
			if !s.output.forHumans() {
				return s.output.answer(answer)
			}
			if answer.secret == nil {
				return nothingAt(args[0])
			}
			s.output.message("%s", strings.TrimSuffix(plainText(answer.secret.Data["policy"]), "\n"))
			return nil
		},
	}
}

func policyList() command {
	return command{
		usage:    "[options]",
		synopsis: "List the policies",
		about:    "Lists the names of all policies.",
		examples: []string{"policy list"},
		run: func(ctx context.Context, s *session, _ []string) error {
			answer, err := s.list(ctx, policyPath)
			if err != nil {
				return err
			}
			names, err := keysOf(answer)
			if err != nil {
				return err
			}
			if !s.output.forHumans() {
				return s.output.encoded(names)
			}
			for _, name := range names {
				fmt.Fprintln(s.stdio.Stdout, name)
			}
			return nil
		},
	}
}

func policyDelete() command {
	return command{
		usage:    "[options] NAME",
		synopsis: "Delete a policy",
		about:    "Deletes the policy NAME. Tokens that carry it lose what it allowed at once.",
		examples: []string{"policy delete app-readonly"},
		minArgs:  1,
		maxArgs:  1,
		run: func(ctx context.Context, s *session, args []string) error {
			answer, err := s.delete(ctx, policyPath+"/"+args[0])
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! Deleted policy: %s", args[0])
		},
	}
}
