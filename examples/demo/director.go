package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	patience = 25 * time.Second       // with the agent and the app
	glance   = 100 * time.Millisecond // between two looks at PostgreSQL's roles
	gone     = 5 * time.Second        // that a role may take to go after its lease was revoked
)

// director leads through the play. Make one with newDirector, call play, close
// and judge, in this order.
type director struct {
	*stage
	screen *screen
	cut    context.CancelCauseFunc // ends the play, with the reason; set by play

	mu     sync.Mutex
	ledger ledger
	news   chan struct{} // capacity one: the ledger has changed
}

func newDirector(bin string, screen *screen) (*director, error) {
	stage, err := newStage(bin)
	if err != nil {
		return nil, err
	}
	return &director{stage: stage, screen: screen, news: make(chan struct{}, 1)}, nil
}

// play plays the acts. An error means that the play could not go on; what was
// seen until then is in the ledger.
func (d *director) play(ctx context.Context) error {
	ctx, d.cut = context.WithCancelCause(ctx)
	defer d.cut(nil)
	d.screen.print("", d.screen.paint(bold, "SecureVault: a PostgreSQL credential that looks after itself"))
	for _, act := range []func(context.Context) error{d.setUp, d.typeGuide, d.prepareAgent, d.watch} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// setUp is the first act: a database and a server.
func (d *director) setUp(ctx context.Context) error {
	d.screen.section("A database and a server")
	if err := d.startPostgres(ctx); err != nil {
		return err
	}
	var version string
	if err := d.superuser.QueryRowContext(ctx, "SHOW server_version").Scan(&version); err != nil {
		return fmt.Errorf("asking PostgreSQL for its version: %w", err)
	}
	d.screen.event(thePostgres(), fmt.Sprintf("version %s on %s, with the database %s", version, d.postgresAddress(), database), plain)
	if err := d.startServer(ctx, d.cut); err != nil {
		return err
	}
	d.screen.event(theServer(), "securevault-server -dev on "+d.address, plain)
	return nil
}

func (d *director) postgresAddress() string {
	return net.JoinHostPort(d.postgres.Host(), strconv.Itoa(d.postgres.Port))
}

// typeGuide is the second act: the guide's chapter on PostgreSQL.
func (d *director) typeGuide(ctx context.Context) error {
	d.screen.section("The guide's commands")
	if err := d.typeAll(ctx, guide(d.postgresAddress())); err != nil {
		return err
	}
	if err := d.seeAdminRefused(ctx); err != nil {
		return err
	}
	answer, err := d.typeOne(ctx, step{"", "securevault read database/creds/app-readonly"})
	if err != nil {
		return err
	}
	lease := regexp.MustCompile(`database/creds/app-readonly/\S+`).FindString(answer)
	if lease == "" {
		return errors.New("the answer shows no lease id")
	}
	if err := d.typeAll(ctx, byHand(lease)); err != nil {
		return err
	}
	return d.awaitNoRoles(ctx)
}

// awaitNoRoles waits until the role of the lease that was revoked by hand is
// gone, so that from then on every role is the agent's.
func (d *director) awaitNoRoles(ctx context.Context) error {
	for limit := time.Now().Add(gone); ; time.Sleep(glance) {
		names, err := d.roles(ctx)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			d.screen.event(thePostgres(), "has no role left: that one is gone", plain)
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("the lease was revoked %s ago, and its role is still there", gone)
		}
	}
}

// seeAdminRefused takes down what PostgreSQL says to the first password of the
// admin, which rotate-root has replaced.
func (d *director) seeAdminRefused(ctx context.Context) error {
	refusal, err := d.login(ctx, admin, adminFirst)
	if err != nil {
		return fmt.Errorf("logging in as %s: %w", admin, err)
	}
	d.read(func(l *ledger) { l.admin = refusal })
	return nil
}

// prepareAgent is the third act: what an agent needs before it can start.
func (d *director) prepareAgent(ctx context.Context) error {
	d.screen.section("An agent's role, policy and configuration")
	return d.typeAll(ctx, forTheAgent())
}

func (d *director) typeAll(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if _, err := d.typeOne(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// typeOne shows a command, runs it and shows its answer.
func (d *director) typeOne(ctx context.Context, s step) (answer string, err error) {
	if s.remark != "" {
		d.screen.remark(s.remark)
	}
	d.screen.command(s.command)
	answer, err = d.shell(ctx, s.command)
	d.screen.output(answer)
	if err != nil {
		return "", fmt.Errorf("running the command above: %w", err)
	}
	return answer, nil
}

// watch is the fourth act: the life of a credential, from the first issue to
// the shutdown of the agent.
func (d *director) watch(ctx context.Context) error {
	d.screen.section("The agent, beside an app that never stops asking")
	looking, stopLooking := context.WithCancel(ctx)
	var observer sync.WaitGroup
	observer.Go(func() { d.lookAtRoles(looking) })
	err := d.perform(ctx)
	stopLooking()
	observer.Wait()
	return cmp.Or(err, d.countRoles(ctx))
}

// perform starts the app and the agent, follows them, and ends both: the app
// first, for it would miss its credential.
func (d *director) perform(ctx context.Context) error {
	address := "postgresql://" + d.postgresAddress() + "/" + database + "?sslmode=require"
	app, err := d.start(playApp, d.cut, func(line []byte) {
		d.note(theApp(), func(l *ledger) (string, bool) { return l.app(line) })
	}, "-database="+address)
	if err != nil {
		return err
	}
	if err = d.await(ctx, func(l *ledger) bool { return l.started }); err != nil {
		return errors.Join(err, d.end(app))
	}
	args := []string{"agent", "-config=agent.hcl", "-log-format=json"}
	d.screen.gap()
	d.screen.command("securevault " + strings.Join(args, " ") + " &")
	d.screen.gap()
	agent, err := d.start("securevault", d.cut, func(line []byte) {
		d.note(theAgent(), func(l *ledger) (string, bool) { return l.agent(line, d.screen.elapsed()) })
	}, args...)
	if err != nil {
		return errors.Join(err, d.end(app))
	}
	err = d.follow(ctx)
	return errors.Join(err, d.end(app), d.end(agent))
}

// follow waits for each thing that is to be seen. When patience is over it
// returns nil: the summary names what did not come.
func (d *director) follow(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := d.followCredential(patient)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil
	}
	return err
}

func (d *director) followCredential(ctx context.Context) error {
	if err := d.await(ctx, func(l *ledger) bool { return len(l.users) > 0 }); err != nil {
		return err
	}
	user, password, err := d.credential()
	if err != nil {
		return err
	}
	if err := d.try(ctx, user, password); err != nil {
		return err
	}
	// The successor is in use and the old credential lives on for its overlap.
	if err := d.await(ctx, func(l *ledger) bool { return l.distinctUsers() > 1 }); err != nil {
		return err
	}
	if err := d.try(ctx, user, password); err != nil {
		return err
	}
	if err := d.await(ctx, func(l *ledger) bool { return l.revoked > 0 }); err != nil {
		return err
	}
	if err := d.try(ctx, user, password); err != nil {
		return err
	}
	var renewals int
	d.read(func(l *ledger) { renewals = l.renewals })
	return d.await(ctx, func(l *ledger) bool { return l.renewals > renewals })
}

// try logs in with a credential and takes down what PostgreSQL says to it.
func (d *director) try(ctx context.Context, user, password string) error {
	refusal, err := d.login(ctx, user, password)
	if err != nil {
		return fmt.Errorf("logging in as %q: %w", user, err)
	}
	d.note(thePostgres(), func(l *ledger) (string, bool) { return l.tried(user, refusal), false })
	return nil
}

// note takes down a statement and shows it.
func (d *director) note(who witness, statement func(*ledger) (words string, bad bool)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	words, bad := statement(&d.ledger)
	ink := plain
	if bad {
		ink = red
	}
	if words != "" {
		d.screen.event(who, words, ink)
	}
	select {
	case d.news <- struct{}{}:
	default:
	}
}

// read looks into the ledger.
func (d *director) read(look func(*ledger)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	look(&d.ledger)
}

// await waits until the ledger says that something was seen.
func (d *director) await(ctx context.Context, seen func(*ledger) bool) error {
	for {
		var done bool
		if d.read(func(l *ledger) { done = seen(l) }); done {
			return nil
		}
		select {
		case <-d.news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lookAtRoles takes down which roles there are, again and again until ctx ends.
func (d *director) lookAtRoles(ctx context.Context) {
	for {
		names, err := d.roles(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.cut(err)
			return
		}
		d.noteRoles(names)
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return
		}
	}
}

func (d *director) noteRoles(names []string) {
	d.mu.Lock()
	words := d.ledger.listed(names)
	d.mu.Unlock()
	for _, words := range words {
		d.screen.event(thePostgres(), words, plain)
	}
}

// countRoles takes down what is left after the shutdown, also of a play that
// was cut.
func (d *director) countRoles(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gone)
	defer cancel()
	names, err := d.roles(ctx)
	if err != nil {
		return err
	}
	d.noteRoles(names)
	left := len(names)
	d.read(func(l *ledger) { l.left = &left })
	return nil
}

// judge is the last act: it shows what was seen and reports whether that is
// everything. There is nothing to show of a play that ended before the fourth.
func (d *director) judge() bool {
	if !d.ledger.started {
		return false
	}
	d.screen.section("What was seen")
	return d.screen.summary(d.ledger.findings())
}
