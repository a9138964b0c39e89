package database

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/engines/database/fault"
)

// How long a failed rotation waits, doubling from the first to the longest: what
// may pass by itself, and what somebody has to mend.
const (
	firstRetry, longestRetry     = 2 * time.Second, 5 * time.Minute
	firstRefusal, longestRefusal = time.Minute, time.Hour
)

// mostProbes is after how many failures in a row no login is tried any more:
// databases lock users whose password is wrong too often.
const mostProbes = 4

// rotateStatic changes the password of the role, whose turn the caller holds. The
// new one is stored as pending before the database hears of it, and the same one is
// set again until the database has taken it or is known to have refused it: so none
// that may be the real one is ever lost.
func (b *backend) rotateStatic(ctx context.Context, storage logical.Storage, name string, role *staticRole) error {
	config, err := b.configOf(ctx, storage, name, role)
	if err != nil {
		return b.failed(ctx, storage, name, role, err)
	}
	inherited := role.Pending != ""
	if !inherited {
		if role.Pending, err = b.newPassword(ctx, role.PasswordPolicy, config.PasswordPolicy); err != nil {
			return b.failed(ctx, storage, name, role, err)
		}
	}
	if early := role.RetryAt.After(time.Now()); early || !inherited {
		role.RetryAt = time.Time{} // a server that dies now leaves no wait to the next
		if err := b.keep(ctx, storage, name, role); err != nil {
			return err
		}
	}
	return b.setPending(ctx, storage, name, role, config, inherited)
}

// setPending sets the pending password, which is stored. Inherited is one that the
// database may have heard of before.
func (b *backend) setPending(ctx context.Context, storage logical.Storage, name string, role *staticRole, config *config, inherited bool) error {
	err := b.setPassword(ctx, storage, role)
	if err != nil {
		err = scrubbed(err, append(config.secrets(), role.Password, role.Pending)...)
	}
	switch b.verdict(ctx, role, config, err, inherited) {
	case newIsReal:
		return b.settleStatic(ctx, storage, name, role)
	case oldIsReal:
		role.Pending = ""
	}
	return b.failed(ctx, storage, name, role, err)
}

// settleStatic makes the pending password the role's. Until that is stored, it stays
// pending.
func (b *backend) settleStatic(ctx context.Context, storage logical.Storage, name string, role *staticRole) error {
	settled := *role
	settled.Password, settled.Pending = role.Pending, ""
	settled.Rotated = time.Now()
	settled.Failures, settled.Failure, settled.RetryAt = 0, "", time.Time{}
	if err := b.keep(ctx, storage, name, &settled); err != nil {
		return err
	}
	*role = settled
	b.Logger().Info("rotated a static role", "role", name)
	return nil
}

func (b *backend) setPassword(ctx context.Context, storage logical.Storage, role *staticRole) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	database, err := b.database(ctx, storage, role.Config)
	if err != nil {
		return err
	}
	defer database.release()
	_, err = database.UpdateUser(ctx, dbplugin.UpdateUserRequest{
		Username:       role.Username,
		CredentialType: dbplugin.CredentialTypePassword,
		Password: &dbplugin.ChangePassword{
			NewPassword: role.Pending,
			Statements:  dbplugin.Statements{Commands: role.Statements},
		},
	})
	b.suspect(ctx, storage, role.Config, database, err)
	return err
}

// verdict is what is known after a password was set.
type verdict int

const (
	undecided verdict = iota
	newIsReal
	oldIsReal
)

// verdict judges from the error. A refusal proves little if the password was set
// before, or by several statements of which the first may have done it: then both
// are tried.
func (b *backend) verdict(ctx context.Context, role *staticRole, config *config, err error, inherited bool) verdict {
	class := fault.ClassOf(err)
	switch {
	case err == nil:
		return newIsReal
	case class != fault.Refused && class != fault.NoUser:
		return undecided
	case !inherited && (len(role.Statements) == 0 || class == fault.NoUser):
		return oldIsReal
	case role.Failures >= mostProbes:
		return undecided
	}
	next, old := b.logsIn(ctx, role, config, role.Pending), b.logsIn(ctx, role, config, role.Password)
	switch {
	case next && !old:
		return newIsReal
	case old && !next:
		return oldIsReal
	}
	return undecided // not to be told, or the database lets everybody in
}

// logsIn reports whether the user is known to log in with the password.
func (b *backend) logsIn(ctx context.Context, role *staticRole, config *config, password string) bool {
	url := config.detail("connection_url")
	asAdmin := url != "" && (!strings.Contains(url, "{{username}}") || !strings.Contains(url, "{{password}}"))
	if asAdmin || password == "" || config.password() == "" {
		return false // the login would not be the user's, or prove nothing
	}
	tried := *config
	tried.Details = maps.Clone(config.Details)
	tried.Details["username"], tried.Details["password"] = role.Username, password
	opened, err := b.initialize(ctx, &tried, true)
	if err != nil {
		return false
	}
	opened.release()
	return true
}

// failed stores that a rotation did, and when it is tried again. A server that is
// stopping leaves that to the next.
func (b *backend) failed(ctx context.Context, storage logical.Storage, name string, role *staticRole, err error) error {
	if ctx.Err() != nil {
		return err
	}
	role.Failures++
	role.Failure = err.Error()
	role.RetryAt = time.Now().Add(backoff(role.Failures, fault.ClassOf(err)))
	b.Logger().Error("rotating a static role failed", "role", name, "error", err, "failures", role.Failures, "again", role.RetryAt)
	if storeErr := b.keep(ctx, storage, name, role); storeErr != nil {
		return storeErr
	}
	return err
}

// backoff returns the wait after so many failures in a row.
func backoff(failures int, class fault.Class) time.Duration {
	first, longest := firstRetry, longestRetry
	if class == fault.Refused || class == fault.NoUser {
		first, longest = firstRefusal, longestRefusal
	}
	const enough = 10 // doublings to pass the longest
	return min(first<<min(failures-1, enough), longest)
}

// due returns when the next rotation is to be tried, looked at from now.
func (r *staticRole) due(now time.Time) time.Time {
	if r.Pending != "" {
		return r.RetryAt // at once if nobody has failed: a server died in the middle
	}
	last := r.Rotated
	if last.IsZero() {
		last = r.Created
	}
	if r.Failures == 0 {
		return r.next(last, now)
	}
	// A retry that misses the window waits for the next.
	if due := r.next(last, r.RetryAt); due.After(r.RetryAt) {
		return due
	}
	return r.RetryAt
}
