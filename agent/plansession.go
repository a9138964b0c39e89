package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/novatech/securevault/agent/auth"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/lease"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// session is the token that a plan is made with.
type session struct {
	clients clients
	server  *vault.Client // of the login
	token   vault.Token
	about   foreseenToken
	held    map[vault.Want]bool // what the state holds with this token
	made    bool                // the token was made for the plan, and ends with it
}

// openSession takes the token of the state or else logs in, in such a way that
// the agent finds all of its credentials where they were.
func openSession(ctx context.Context, file *config.File, opts Options, now time.Time) (*session, error) {
	clients, err := newClients(file, opts)
	if err != nil {
		return nil, failure{ExitConfig, err}
	}
	s := &session{clients: clients}
	autoAuth, err := harmless(file.AutoAuth)
	if err != nil {
		return nil, err
	}
	method, server, err := newLogin(autoAuth, clients.auth, opts.Getenv)
	if err != nil {
		return nil, err
	}
	s.server = server
	var records []state.Record
	if file.State != nil {
		if records, err = state.Read(stateConfig(file, clientConfig(file, opts), opts.Getenv)); err != nil {
			return nil, failure{ExitConfig, fmt.Errorf("%s: %w", file.State.At, err)}
		}
	}
	granted, err := s.adopt(ctx, method, records)
	if granted == nil && err == nil {
		s.about.Origin, s.made = "a login of its own", method.Owns()
		if !s.made {
			s.about.Origin = "the token that is given to the agent"
		}
		granted, err = method.Login(ctx, server)
	}
	if err != nil {
		return nil, classed(ExitAuth, fmt.Errorf("authenticating: %w", err))
	}
	s.use(granted, now)
	if !s.made {
		s.held = lease.Recorded(records, now)
	}
	return s, nil
}

// adopt looks at the token in the state, and returns nil unless the agent
// would go on with it.
func (s *session) adopt(ctx context.Context, method auth.Method, records []state.Record) (*vault.Auth, error) {
	token := auth.Recorded(records)
	if token == "" || !method.Owns() {
		return nil, nil
	}
	granted, err := auth.NewToken(token).Login(ctx, s.server)
	if err != nil && vault.Classify(err) != vault.Later {
		return nil, nil //nolint:nilerr // it has ended, and the agent would log in
	}
	s.about.Origin = "the state"
	return granted, err
}

// use takes what a login or a lookup says of the token.
func (s *session) use(granted *vault.Auth, now time.Time) {
	s.token = vault.Token{Value: granted.Token, Accessor: granted.Accessor, Epoch: 1}
	s.about.Policies = append([]string{}, granted.Policies...)
	s.about.foreseenLife = foreseenLife{Kind: lifeStatic, Next: []foreseenStep{}}
	if granted.TTL == 0 {
		return
	}
	s.about.Kind, s.about.TTL, s.about.Source = lifeLease, whole(granted.TTL), "token"
	action, at := schedule.Policy{Jitter: -1}.WithDefaults().Next(schedule.Facts{
		Held: true, Leased: true, Renewable: granted.Renewable && !granted.Batch,
		Granted: now, TTL: granted.TTL, Full: granted.TTL,
	})
	s.about.Next = append(s.about.Next, foreseenStep{action.String(), whole(at.Sub(now))})
}

// revocationTries is how often the revocation of the plan's token is sent.
const revocationTries = 4

// close ends the token if it was made for the plan.
func (s *session) close(ctx context.Context) error {
	if !s.made {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownBound)
	defer cancel()
	err := vault.Insist(ctx, revocationTries, func(ctx context.Context) error {
		return s.server.RevokeSelf(ctx, s.token.Value)
	})
	if vault.Classify(err) == vault.Later {
		return failure{ExitLeftover, fmt.Errorf("revoking the token of the plan: %w", err)}
	}
	return nil // one that cannot be revoked ends by its TTL
}

// harmless returns the way to log in such that no file is removed and the
// token may be used here.
func harmless(autoAuth *config.AutoAuth) (*config.AutoAuth, error) {
	if autoAuth == nil {
		return nil, nil
	}
	out := *autoAuth
	m := &out.Method
	m.WrapTTL = 0
	switch {
	case m.AppRole != nil && m.AppRole.WrappingPath != "":
		return nil, failure{ExitAuth, errors.New("the secret id is wrapped and can be unwrapped only once, which is up to the agent; give -offline to plan without the server")}
	case m.AppRole != nil:
		m.AppRole = &config.AppRole{RoleIDFilePath: m.AppRole.RoleIDFilePath, SecretIDFilePath: m.AppRole.SecretIDFilePath}
	case m.JWT != nil:
		jwt := *m.JWT
		jwt.Remove, m.JWT = false, &jwt
	case m.UserPass != nil:
		m.UserPass = kept(m.UserPass)
	case m.LDAP != nil:
		m.LDAP = kept(m.LDAP)
	}
	return &out, nil
}

// kept returns the password of a login that leaves its file.
func kept(p *config.Password) *config.Password {
	out := *p
	out.Remove = false
	return &out
}
