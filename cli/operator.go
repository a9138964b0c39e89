package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"
)

// anonymous makes a session send no token: what is asked needs none, and a
// sealed server could not check it.
func (s *session) anonymous() { s.token = func() (string, error) { return "", nil } }

// shares is a number of key shares as flags say it.
type shares struct{ count, threshold uint }

func (n *shares) flags(set *flag.FlagSet, prefix, what string, count, threshold uint) {
	set.UintVar(&n.count, prefix+"-shares", count, "Split the "+what+" into this `NUMBER` of shares.")
	set.UintVar(&n.threshold, prefix+"-threshold", threshold, "Need this `NUMBER` of the shares.")
}

func operatorInit() command {
	var keys, recovery shares
	var status bool
	return command{
		usage:    "[options]",
		synopsis: "Initialize a new server",
		about: "Makes the keys of a new store, prints the shares of the unseal key and a root\n" +
			"token, and leaves the server sealed: unseal it next. The server keeps no copy:\n" +
			"whoever loses too many shares loses all data. Where a key service unseals the\n" +
			"server it does so at once, and recovery keys are printed instead. With -status\n" +
			"exits with 0 if the server is initialized, 2 if not, 1 if that cannot be told.",
		examples: []string{"operator init", "operator init -key-shares=1 -key-threshold=1 -format=json", "operator init -status"},
		flags: func(set *flag.FlagSet) {
			keys.flags(set, "key", "unseal key", 5, 3)
			recovery.flags(set, "recovery", "recovery key", 5, 3)
			set.BoolVar(&status, "status", false, "Only tell whether the server is initialized.")
		},
		run: func(ctx context.Context, s *session, _ []string) error {
			s.anonymous()
			if status {
				return s.initStatus(ctx)
			}
			answer, err := s.put(ctx, "sys/init", body{
				"secret_shares": keys.count, "secret_threshold": keys.threshold,
				"recovery_shares": recovery.count, "recovery_threshold": recovery.threshold,
			})
			if err != nil {
				return err
			}
			return s.output.initialized(answer, s.program, keys, recovery)
		},
	}
}

// initStatus tells by words and exit code whether the server is initialized.
func (s *session) initStatus(ctx context.Context) error {
	answer, err := s.get(ctx, "sys/init", nil)
	if failed, ok := errors.AsType[*failure](err); ok {
		failed.code = ExitLocal
	}
	if err != nil {
		return err
	}
	var state struct {
		Initialized *bool `json:"initialized"`
	}
	if err := answer.into(&state); err != nil {
		return err
	}
	if state.Initialized == nil {
		return errors.New("the answer does not tell whether the server is initialized")
	}
	if !s.output.forHumans() {
		if err := s.output.document(answer.raw); err != nil {
			return err
		}
	}
	if !*state.Initialized {
		return &failure{err: errors.New("the server is not initialized"), hint: "run " + s.program + " operator init", code: ExitServer}
	}
	s.output.message("The server is initialized")
	return nil
}

// into decodes an answer that is a plain JSON object.
func (a *answer) into(fields any) error {
	if err := json.Unmarshal(a.raw, fields); err != nil {
		return &failure{err: fmt.Errorf("decoding the answer: %w", err), hint: "this does not look like a server of this API: check the address", code: ExitServer}
	}
	return nil
}

// initialKeys is the answer of sys/init.
type initialKeys struct {
	Keys           []string `json:"keys"`
	KeysBase64     []string `json:"keys_base64"`
	Recovery       []string `json:"recovery_keys"`
	RecoveryBase64 []string `json:"recovery_keys_base64"`
	RootToken      string   `json:"root_token"`
}

// initialOutput is how init prints it for programs, in the names that scripts
// of Vault's client read.
type initialOutput struct {
	UnsealBase64      []string `json:"unseal_keys_b64"`
	UnsealHex         []string `json:"unseal_keys_hex"`
	UnsealShares      int      `json:"unseal_shares"`
	UnsealThreshold   uint     `json:"unseal_threshold"`
	RecoveryBase64    []string `json:"recovery_keys_b64"`
	RecoveryHex       []string `json:"recovery_keys_hex"`
	RecoveryShares    int      `json:"recovery_keys_shares"`
	RecoveryThreshold uint     `json:"recovery_keys_threshold"`
	RootToken         string   `json:"root_token"`
}

// initialized prints the keys of a new server. They are shown this once.
func (o *output) initialized(a *answer, program string, keys, recovery shares) error {
	var made initialKeys
	if err := a.into(&made); err != nil {
		return err
	}
	auto := len(made.RecoveryBase64) > 0
	if !o.forHumans() {
		printed := initialOutput{
			UnsealBase64: names(made.KeysBase64), UnsealHex: names(made.Keys), UnsealShares: len(made.Keys), UnsealThreshold: keys.threshold,
			RecoveryBase64: names(made.RecoveryBase64), RecoveryHex: names(made.Recovery), RecoveryShares: len(made.Recovery),
			RootToken: made.RootToken,
		}
		if auto {
			printed.RecoveryThreshold, printed.UnsealThreshold = recovery.threshold, 0
		}
		return o.encoded(printed)
	}
	if auto {
		o.numbered("Recovery Key", made.RecoveryBase64)
	} else {
		o.numbered("Unseal Key", made.KeysBase64)
	}
	o.message("\nInitial Root Token: %s\n", made.RootToken)
	if auto {
		o.message("The server is initialized with %d recovery key shares, of which %d approve what needs\n"+
			"approval. It unseals itself as long as its key service answers.", len(made.RecoveryBase64), recovery.threshold)
		return nil
	}
	o.message("The server is initialized with %d key shares, of which %d unseal it, now and after every\n"+
		"start: run %s operator unseal. Give each share to another person: this is the\n"+
		"only time they are shown, and without enough of them the data is lost.", len(made.KeysBase64), keys.threshold, program)
	return nil
}

// numbered prints key shares, one a line.
func (o *output) numbered(what string, keys []string) {
	for i, key := range keys {
		o.message("%s %d: %s", what, i+1, key)
	}
}

func operatorUnseal() command {
	var reset bool
	return command{
		usage:    "[options] [KEY|-]",
		synopsis: "Hand in a share of the unseal key",
		about: "Hands in one share of the unseal key. With the last one needed the server is\n" +
			"unsealed. Without KEY it is asked for on the terminal; - reads it from standard\n" +
			"input. A share among the arguments can be seen in the list of processes.",
		examples: []string{"operator unseal", "operator unseal -", "operator unseal -reset"},
		maxArgs:  1,
		flags: func(set *flag.FlagSet) {
			set.BoolVar(&reset, "reset", false, "Forget the shares handed in so far.")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			s.anonymous()
			request := body{"reset": true}
			if !reset {
				key, err := s.keyArgument(ctx, "Unseal Key", args)
				if err != nil {
					return err
				}
				request = body{"key": key}
			}
			answer, err := s.put(ctx, "sys/unseal", request)
			if err != nil {
				return err
			}
			_, err = s.output.showSeal(answer)
			return err
		},
	}
}

// keyArgument returns the share given as argument, on standard input or on the
// terminal.
func (s *session) keyArgument(ctx context.Context, what string, args []string) (key string, err error) {
	if len(args) == 0 {
		key, err = s.prompt(ctx, what)
	} else {
		key, err = s.secretArg(args[0])
	}
	if err != nil {
		return "", err
	}
	if key = strings.TrimSpace(key); key == "" {
		return "", badInput("pass one share of the key, or - to read it from standard input", "the key is empty")
	}
	return key, nil
}

// operatorStatus is status under the name that goes with the others.
func operatorStatus() command {
	c := statusCommand()
	c.examples = []string{"operator status"}
	return c
}

func operatorSeal() command {
	return command{
		usage:    "[options]",
		synopsis: "Seal the server",
		about: "Seals the server: it ends what is under way, forgets its keys, and answers nothing\n" +
			"until it is unsealed. Needs sudo on sys/seal.",
		examples: []string{"operator seal"},
		run: func(ctx context.Context, s *session, _ []string) error {
			answer, err := s.put(ctx, "sys/seal", nil)
			if err != nil {
				return err
			}
			return s.output.outcome(answer, "Success! The server is sealed.")
		},
	}
}
