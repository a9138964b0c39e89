package cli

import (
	"context"
	"flag"
	"fmt"
)

func operatorRotate() command {
	return command{
		usage:    "[options]",
		synopsis: "Begin a new data key",
		about: "Makes the server encrypt with a new key from now on; what older keys encrypted\n" +
			"stays readable. Needs sudo on sys/rotate.",
		examples: []string{"operator rotate"},
		run: func(ctx context.Context, s *session, _ []string) error {
			if _, err := s.put(ctx, "sys/rotate", nil); err != nil {
				return err
			}
			s.output.message("Success! Rotated key\n")
			return s.keyStatus(ctx)
		},
	}
}

func operatorKeyStatus() command {
	return command{
		usage:    "[options]",
		synopsis: "Show the data key in use",
		about:    "Shows the number of the key that the server encrypts with, and since when.",
		examples: []string{"operator key-status"},
		run: func(ctx context.Context, s *session, _ []string) error {
			return s.keyStatus(ctx)
		},
	}
}

func (s *session) keyStatus(ctx context.Context) error {
	answer, err := s.get(ctx, "sys/key-status", nil)
	if err != nil {
		return err
	}
	return s.output.labelled(answer, []label{
		{"term", "Key Term"}, {"install_time", "Install Time"}, {"encryptions", "Encryption Count"},
	})
}

// label names one field of an answer for people.
type label struct{ field, title string }

// labelled prints the fields of an answer under their titles; what is empty is
// left out.
func (o *output) labelled(a *answer, labels []label) error {
	if !o.forHumans() {
		return o.document(a.raw)
	}
	if a.secret == nil {
		return fmt.Errorf("the answer is empty")
	}
	rows := [][]string{{"Key", "Value"}}
	for _, l := range labels {
		if value, ok := a.secret.Data[l.field]; ok && value != "" {
			rows = append(rows, []string{l.title, plainText(value)})
		}
	}
	o.table(rows)
	return nil
}

// decision is something that the holders of key shares approve one by one.
type decision struct {
	start, update string // paths; the first also tells the status and cancels
	labels        []label
	done          func(s *session, a *answer) (bool, error) // prints the outcome, if this is it
}

// progress prints how far the decision has come.
func (d decision) progress(s *session, a *answer) error { return s.output.labelled(a, d.labels) }

func (d decision) status(ctx context.Context, s *session) error {
	answer, err := s.get(ctx, d.start, nil)
	if err != nil {
		return err
	}
	return d.progress(s, answer)
}

func (d decision) cancel(ctx context.Context, s *session, what string) error {
	answer, err := s.delete(ctx, d.start)
	if err != nil {
		return err
	}
	return s.output.outcome(answer, "Success! Canceled %s (if it was started)", what)
}

// approve hands in one share. The nonce is asked from the server unless the
// user knows it.
func (d decision) approve(ctx context.Context, s *session, nonce string, args []string) error {
	if nonce == "" {
		var err error
		if nonce, err = d.nonce(ctx, s); err != nil {
			return err
		}
	}
	key, err := s.keyArgument(ctx, "Key Share", args)
	if err != nil {
		return err
	}
	answer, err := s.put(ctx, d.update, body{"key": key, "nonce": nonce})
	if err != nil {
		return err
	}
	if done, err := d.done(s, answer); done || err != nil {
		return err
	}
	return d.progress(s, answer)
}

// nonce asks which decision is under way.
func (d decision) nonce(ctx context.Context, s *session) (string, error) {
	answer, err := s.get(ctx, d.start, nil)
	if err != nil {
		return "", err
	}
	var state struct {
		Nonce string `json:"nonce"`
	}
	if err := answer.into(&state); err != nil {
		return "", err
	}
	if state.Nonce == "" {
		return "", badInput("start it with -init", "nothing is under way that a key share could approve")
	}
	return state.Nonce, nil
}

// asked is what a command about a decision is asked to do.
type asked struct {
	init, status, cancel bool
	nonce                string
}

func (a *asked) flags(set *flag.FlagSet) {
	set.BoolVar(&a.init, "init", false, "Start it.")
	set.BoolVar(&a.status, "status", false, "Show how far it has come.")
	set.BoolVar(&a.cancel, "cancel", false, "Give it up.")
	set.StringVar(&a.nonce, "nonce", "", "Approve only the one with this `NONCE`, as -init printed it.")
}

// check refuses contradictions before the server hears of them.
func (a *asked) check(args []string) error {
	chosen := 0
	for _, flag := range []bool{a.init, a.status, a.cancel} {
		if flag {
			chosen++
		}
	}
	if chosen > 1 || chosen == 1 && len(args) > 0 {
		return badInput("use one of -init, -status, -cancel or KEY", "this asks for several things at once")
	}
	return nil
}

// rekeyLabels name the fields of a rekey's progress.
func rekeyLabels() []label {
	return []label{
		{"nonce", "Nonce"}, {"started", "Started"}, {"progress", "Rekey Progress"}, {"required", "Shares Required"},
		{"n", "New Shares"}, {"t", "New Threshold"}, {"verification_nonce", "Verification Nonce"},
	}
}

// verifyLabels name the fields of a verification's progress.
func verifyLabels() []label {
	return []label{
		{"nonce", "Nonce"}, {"started", "Started"}, {"progress", "Verification Progress"}, {"n", "New Shares"}, {"t", "New Threshold"},
	}
}

// rekeying returns the decision on new shares of a target, or, with verify, on
// whether those made are good.
func rekeying(target string, verify bool) (decision, error) {
	path, known := map[string]string{"barrier": "sys/rekey", "recovery": "sys/rekey-recovery-key"}[target]
	switch {
	case !known:
		return decision{}, badInput("use barrier or recovery", "%q is not a -target", target)
	case verify:
		return decision{start: path + "/verify", update: path + "/verify", labels: verifyLabels(), done: verified}, nil
	}
	return decision{start: path + "/init", update: path + "/update", labels: rekeyLabels(), done: rekeyed}, nil
}

func operatorRekey() command {
	var what asked
	var keys shares
	var target string
	var verify bool
	return command{
		usage:    "[options] [KEY|-]",
		synopsis: "Replace the shares of the unseal key",
		about: "Replaces the shares of the unseal key, or of the recovery key, by new ones. Start\n" +
			"with -init; then each holder hands in a share of the present key: as KEY, on the\n" +
			"terminal, or on standard input with -. The last one needed is answered with the\n" +
			"new shares, and the old ones are worth nothing. Started with -init -verify, the old\n" +
			"ones stay good until enough of the new ones have been handed in with -verify.",
		examples: []string{"operator rekey -init -key-shares=5 -key-threshold=3", "operator rekey", "operator rekey -verify", "operator rekey -cancel"},
		maxArgs:  1,
		flags: func(set *flag.FlagSet) {
			what.flags(set)
			keys.flags(set, "key", "new key", 5, 3)
			set.StringVar(&target, "target", "barrier", "Replace the shares of the unseal key (barrier) or of the `KEY` recovery.")
			set.BoolVar(&verify, "verify", false, "With -init: have the new shares verified. Else: do it, show how far that is, or begin it again.")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			s.anonymous()
			rekey, err := rekeying(target, verify && !what.init)
			if err != nil {
				return err
			}
			if err := what.check(args); err != nil {
				return err
			}
			switch {
			case what.status:
				return rekey.status(ctx, s)
			case what.cancel && verify:
				return rekey.cancel(ctx, s, "verifying the new shares")
			case what.cancel:
				return rekey.cancel(ctx, s, "rekeying")
			case !what.init:
				return rekey.approve(ctx, s, what.nonce, args)
			}
			request := body{"secret_shares": keys.count, "secret_threshold": keys.threshold}
			if verify {
				request["require_verification"] = true
			}
			answer, err := s.put(ctx, rekey.start, request)
			if err != nil {
				return err
			}
			return rekey.progress(s, answer)
		},
	}
}

// rekeyed prints the new shares, once there are any.
func rekeyed(s *session, a *answer) (bool, error) {
	var made struct {
		KeysBase64 []string `json:"keys_base64"`
		Verify     bool     `json:"verification_required"`
	}
	if err := a.into(&made); err != nil {
		return false, err
	}
	if len(made.KeysBase64) == 0 {
		return false, nil
	}
	if !s.output.forHumans() {
		return true, s.output.document(a.raw)
	}
	s.output.numbered("Key", made.KeysBase64)
	if made.Verify {
		s.output.message("\nGive each new share to another person. They count once enough of them have been\n"+
			"handed in: %s operator rekey -verify. The old ones are good until then.", s.program)
		return true, nil
	}
	s.output.message("\nThe key is replaced. Give each new share to another person; the old ones are worth\n" +
		"nothing from now on. To encrypt with a new data key as well: operator rotate")
	return true, nil
}

// verified tells that the new shares are good, once they are.
func verified(s *session, a *answer) (bool, error) {
	var end struct {
		Complete bool `json:"complete"`
	}
	if err := a.into(&end); err != nil || !end.Complete {
		return false, err
	}
	if !s.output.forHumans() {
		return true, s.output.document(a.raw)
	}
	s.output.message("Success! The new shares are verified, and the key is replaced: the old ones are worth\n" +
		"nothing from now on.")
	return true, nil
}
