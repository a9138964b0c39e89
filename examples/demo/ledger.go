package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/novatech/securevault/examples/demo/app"
)

// ledger is what the witnesses have said so far. Its methods take a statement
// down and return it in words for the audience, "" if it is of no interest.
type ledger struct {
	// The agent's log.
	grants    []grant
	renewals  int
	published int // files
	revoked   int // replaced leases

	// The app.
	started  bool
	users    []string // that PostgreSQL says it was, in order
	signals  int
	failures int
	totals   *totals // of its last words; nil before them

	// PostgreSQL.
	roles    map[string]bool // role the demo did not make itself → is it still there
	accepted int             // logins with the first credential that succeeded
	early    string          // what it was told before its lease was revoked, if refused
	refusal  string          // what it was told afterwards
	left     *int            // roles after the agent's shutdown; nil until counted
	admin    string          // what vault_admin was told after rotate-root
}

// grant is a credential that the agent got.
type grant struct {
	at       time.Duration
	rotation bool // it is the successor of the one before
}

// totals are the app's counters.
type totals struct{ Queries, Failures int }

// agentLine is a line of the agent's log, as far as it is of interest.
type agentLine struct {
	Level   string `json:"level"`
	Message string `json:"msg"`
	Action  string `json:"action"`
	TTL     string `json:"ttl"`
	Error   string `json:"error"`
}

// agent takes down a line of the agent's log. bad tells that something went
// wrong.
func (l *ledger) agent(line []byte, at time.Duration) (words string, bad bool) {
	var said agentLine
	if err := json.Unmarshal(line, &said); err != nil {
		return string(line), true // no log: a last word, such as a panic
	}
	switch said.Message {
	case "secret issued":
		l.grants = append(l.grants, grant{at: at, rotation: said.Action == "rotate"})
		if said.Action == "rotate" {
			return "rotation: a successor, good for " + said.TTL, false
		}
		return "issued: a credential, good for " + said.TTL, false
	case "lease renewed":
		l.renewals++
		return "renewal: good for another " + said.TTL, false
	case "published":
		l.published++
		return "wrote db.json", false
	case "app told":
		return "signal: SIGHUP to the app", false
	case "replaced lease revoked":
		l.revoked++
		return "revoked what the successor replaced", false
	case "lease revoked at shutdown":
		return "revoked what it held", false
	}
	if said.Level == "warn" || said.Level == "error" {
		return said.Message + ": " + said.Error, true
	}
	return "", false
}

// appLine is a line of the app's log.
type appLine struct {
	Message string `json:"msg"`
	User    string `json:"user"`
	Error   string `json:"error"`
	totals
}

// app takes down a line of the app's log.
func (l *ledger) app(line []byte) (words string, bad bool) {
	var said appLine
	if err := json.Unmarshal(line, &said); err != nil {
		return string(line), true
	}
	switch said.Message {
	case app.Started:
		l.started = true
		return "waits for a credential", false
	case app.Signalled:
		l.signals++
		return "got SIGHUP", false
	case app.Connected:
		l.users = append(l.users, said.User)
		return "connected as " + brief(said.User), false
	case app.Failed:
		l.failures++
		return "a query failed: " + said.Error, true
	case app.Stopped:
		l.totals = &said.totals
		return fmt.Sprintf("stopped after %d queries, %d failed", said.Queries, said.Failures), false
	}
	return said.Message + ": " + said.Error, true
}

// listed takes down which roles PostgreSQL has, and returns what is new.
func (l *ledger) listed(names []string) (words []string) {
	if l.roles == nil {
		l.roles = make(map[string]bool)
	}
	for _, name := range names {
		if !l.roles[name] {
			l.roles[name] = true
			words = append(words, "has a new role, "+brief(name))
		}
	}
	for name, there := range l.roles {
		if there && !slices.Contains(names, name) {
			l.roles[name] = false
			words = append(words, "no longer has the role "+brief(name))
		}
	}
	return words
}

// tried takes down what PostgreSQL says to a login with the first credential;
// refusal is empty if it was accepted.
func (l *ledger) tried(user, refusal string) (words string) {
	refusal = strings.ReplaceAll(refusal, user, brief(user))
	switch {
	case refusal == "":
		l.accepted++
		return "accepts a login as " + brief(user)
	case l.revoked == 0:
		l.early = refusal
		return "refuses a credential in use: " + refusal
	default:
		l.refusal = refusal
		return "refuses the old credential: " + refusal
	}
}

// brief shortens the name of a role for a line of the screen.
func brief(name string) string {
	const enough = 28 // all of the words and the start of what chance added
	if len(name) <= enough {
		return name
	}
	return name[:enough] + "…"
}

// rotations counts the successors that came near the end of what they replaced
// and not after it: later than it could have lived without renewal, no later
// than it may live at all.
func (l *ledger) rotations() (count int, early time.Duration) {
	for i, g := range l.grants {
		if i == 0 || !g.rotation {
			continue
		}
		if age := g.at - l.grants[i-1].at; age > defaultTTL && age <= maxTTL {
			count, early = count+1, maxTTL-age
		}
	}
	return count, early
}
