package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// login is how to log in and what to do with the token.
type login struct {
	method    string
	path      string // of the auth method; "" is its name
	noStore   bool
	tokenOnly bool
}

// loginMethods tells of each method whether its login path ends in the user's
// name.
func loginMethods() map[string]bool {
	return map[string]bool{"approle": false, "jwt": false, "kubernetes": false, "cert": false, "userpass": true, "ldap": true}
}

func loginCommand() command {
	var asked login
	return command{
		usage:    "[options] [TOKEN|-|KEY=VALUE...]",
		synopsis: "Log in and store the token",
		about: "Logs in and stores the token in ~/.vault-token, where the other commands find it.\n" +
			"Without -method the argument is a token; - reads it from standard input, and no\n" +
			"argument asks for it on the terminal.",
		examples: []string{
			"login",
			"login -method=userpass username=alice",
			"login -method=approle role_id=@role-id secret_id=@secret-id",
		},
		maxArgs:    -1,
		selectable: true,
		flags: func(set *flag.FlagSet) {
			set.StringVar(&asked.method, "method", "token", "Log in by `METHOD`: token, approle, userpass, ldap, jwt, kubernetes or cert.")
			set.StringVar(&asked.path, "path", "", "`PATH` of the auth method; the default is its name.")
			set.BoolVar(&asked.noStore, "no-store", false, "Do not store the token.")
			set.BoolVar(&asked.tokenOnly, "token-only", false, "Print the token and store nothing, as -no-store -field=token.")
		},
		run: func(ctx context.Context, s *session, args []string) error {
			if asked.tokenOnly {
				asked.noStore, s.output.field = true, "token"
			}
			if asked.method == "token" {
				return s.loginByToken(ctx, asked, args)
			}
			return s.loginByMethod(ctx, asked, args)
		},
	}
}

// loginByToken checks a token the user has and keeps it.
func (s *session) loginByToken(ctx context.Context, asked login, args []string) error {
	token, err := s.tokenArgument(ctx, args)
	if err != nil {
		return err
	}
	s.token = func() (string, error) { return token, nil }
	answer, err := s.get(ctx, "auth/token/lookup-self", nil)
	if err != nil {
		return err
	}
	if answer, err = asLogin(token, answer); err != nil {
		return err
	}
	return s.loggedIn(asked, token, answer)
}

// asLogin gives what a lookup tells of a token the shape of a login's answer,
// so that both are shown alike.
func asLogin(token string, lookup *answer) (*answer, error) {
	accessor, errAccessor := lookup.secret.TokenAccessor()
	renewable, errRenewable := lookup.secret.TokenIsRenewable()
	ttl, errTTL := lookup.secret.TokenTTL()
	// TokenPolicies also sorts the policies by origin into the secret's Auth.
	_, errPolicies := lookup.secret.TokenPolicies()
	if err := errors.Join(errAccessor, errRenewable, errTTL, errPolicies); err != nil {
		return nil, &failure{err: fmt.Errorf("decoding the token's lookup: %w", err), code: ExitServer}
	}
	auth := &api.SecretAuth{}
	if lookup.secret != nil && lookup.secret.Auth != nil {
		auth = lookup.secret.Auth
	}
	auth.ClientToken, auth.Accessor = token, accessor
	auth.Renewable, auth.LeaseDuration = renewable, int(ttl/time.Second)
	secret := &api.Secret{Auth: auth}
	raw, err := json.Marshal(secret)
	return &answer{raw: raw, secret: secret}, err
}

// tokenArgument returns the token given as argument, on standard input or on
// the terminal.
func (s *session) tokenArgument(ctx context.Context, args []string) (token string, err error) {
	switch {
	case len(args) == 0:
		token, err = s.prompt(ctx, "Token")
	case len(args) == 1:
		token, err = s.secretArg(strings.TrimPrefix(args[0], "token="))
	default:
		err = badInput("pass one token, or choose a -method", "%d arguments are not one token", len(args))
	}
	if err != nil {
		return "", err
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", badInput("pass a token, or choose a -method", "the token is empty")
	}
	return token, checkToken(token, "the token")
}

// loginByMethod exchanges credentials for a token and keeps it.
func (s *session) loginByMethod(ctx context.Context, asked login, args []string) error {
	named, known := loginMethods()[asked.method]
	if !known {
		return badInput("choose token, "+strings.Join(slices.Sorted(maps.Keys(loginMethods())), ", "),
			"%q is not a login method", asked.method)
	}
	fields, err := s.pairs(1, args)
	if err != nil {
		return err
	}
	path := "auth/" + either(strings.Trim(asked.path, "/"), asked.method) + "/login"
	if named {
		if path, fields, err = s.userLogin(ctx, path, fields); err != nil {
			return err
		}
	}
	s.token = func() (string, error) { return "", nil }
	answer, err := s.put(ctx, path, fields)
	if err != nil {
		return err
	}
	if answer.secret == nil {
		return s.output.outcome(answer, "The server accepted the login but sent no token.")
	}
	if answer.secret.Auth == nil {
		return s.output.answer(answer) // wrapped: the token is for someone else
	}
	return s.loggedIn(asked, answer.secret.Auth.ClientToken, answer)
}

// userLogin moves the user's name from the fields to the path, and asks for the
// password if it is not among them.
func (s *session) userLogin(ctx context.Context, path string, fields map[string]any) (string, map[string]any, error) {
	name, _ := fields["username"].(string)
	if name == "" {
		return "", nil, badInput("add username=NAME", "the login needs a user name")
	}
	rest := maps.Clone(fields)
	delete(rest, "username")
	if _, given := rest["password"]; !given {
		password, err := s.prompt(ctx, "Password")
		if err != nil {
			return "", nil, err
		}
		rest["password"] = password
	}
	return path + "/" + name, rest, nil
}

// loggedIn stores the token unless told otherwise and shows what it may do.
func (s *session) loggedIn(asked login, token string, answer *answer) error {
	if !asked.noStore {
		if err := storeToken(s.stdio.Getenv, token); err != nil {
			return err
		}
	}
	if !asked.noStore && lookupEnv(s.stdio.Getenv, "TOKEN") != "" {
		fmt.Fprintln(s.stdio.Stderr, "Warning: VAULT_TOKEN or SECUREVAULT_TOKEN is set and wins over the token just stored; unset it to use this one.")
	}
	s.output.message("Success! You are now authenticated.\n")
	return s.output.answer(answer)
}
