package auth

import (
	"time"

	"github.com/novatech/securevault/agent/schedule"
)

// Status is what an operator may know of the token: everything but itself.
type Status struct {
	Accessor  string
	Epoch     uint64 // how often another token came into use; 0 while there is none
	Granted   time.Time
	Ends      time.Time // zero for a token that does not end
	Renewable bool

	Action   schedule.Action // next
	At       time.Time       // when; zero for never
	Why      string          // in a few words
	Err      error           // of the last request; nil if it succeeded
	Failures int             // in a row
}

// Status returns what there is to know of the token.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.known
	s.Accessor, s.Epoch, s.Err = k.token.Accessor, k.token.Epoch, k.err
	return s
}

// observe takes over what Run knows of the token. The lock is held.
func (k *Keeper) observe(h *held) {
	action, at := k.next(h.facts)
	k.known = Status{
		Granted: h.facts.Granted, Ends: h.facts.Ends(), Renewable: h.facts.Renewable,
		Action: action, At: at, Why: k.cfg.Policy.Why(h.facts, action), Failures: h.facts.Failures,
	}
}
