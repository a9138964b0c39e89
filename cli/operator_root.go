package cli

import (
	"context"
	"encoding/base64"
	"flag"
)

// rootLabels name the fields of the progress of generate-root.
func rootLabels() []label {
	return []label{
		{"nonce", "Nonce"}, {"started", "Started"}, {"progress", "Progress"}, {"required", "Shares Required"},
		{"complete", "Complete"}, {"encoded_token", "Encoded Token"}, {"otp", "OTP"}, {"otp_length", "OTP Length"},
	}
}

// rooting is what generate-root is asked to do.
type rooting struct {
	asked
	decode string
	otp    string
}

func operatorGenerateRoot() command {
	var what rooting
	return command{
		usage:    "[options] [KEY|-]",
		synopsis: "Make a root token by the shares of the unseal key",
		about: "Makes a root token if the holders of shares approve. Start with -init, which prints\n" +
			"a one-time password (OTP); then each holder hands in a share: as KEY, on the\n" +
			"terminal, or on standard input with -. The last one needed is answered with the\n" +
			"token, encoded by the password: -decode with -otp gives it in the clear.",
		examples: []string{"operator generate-root -init", "operator generate-root", "operator generate-root -decode=ENCODED -otp=OTP"},
		maxArgs:  1,
		flags: func(set *flag.FlagSet) {
			what.flags(set)
			set.StringVar(&what.decode, "decode", "", "Decode this encoded `TOKEN`; asks no server.")
			set.StringVar(&what.otp, "otp", "", "One-time `PASSWORD` to decode with; - reads it from standard input.")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			if what.decode != "" || what.otp != "" {
				return s.decodeRoot(what, args)
			}
			if err := what.check(args); err != nil {
				return err
			}
			s.anonymous()
			root := decision{start: "sys/generate-root/attempt", update: "sys/generate-root/update", labels: rootLabels(),
				done: func(*session, *answer) (bool, error) { return false, nil }}
			switch {
			case what.status:
				return root.status(ctx, s)
			case what.cancel:
				return root.cancel(ctx, s, "root token generation")
			case !what.init:
				return root.approve(ctx, s, what.nonce, args)
			}
			answer, err := s.put(ctx, root.start, body{})
			if err != nil {
				return err
			}
			return root.progress(s, answer)
		},
	}
}

// decodeRoot prints the token that generate-root has encoded.
func (s *session) decodeRoot(what rooting, args []string) error {
	if what.init || what.status || what.cancel || len(args) > 0 || what.decode == "" || what.otp == "" {
		return badInput("pass -decode and -otp together, and nothing else", "this asks for several things at once, or half of one")
	}
	otp, err := s.secretArg(what.otp)
	if err != nil {
		return err
	}
	token, err := base64.RawStdEncoding.DecodeString(what.decode)
	if err != nil || len(token) != len(otp) {
		return badInput("use the encoded token and the OTP of the same -init", "the encoded token does not fit the OTP")
	}
	for i := range token {
		token[i] ^= otp[i]
	}
	if !s.output.forHumans() {
		return s.output.encoded(map[string]string{"token": string(token)})
	}
	s.output.message("%s", token)
	return nil
}
