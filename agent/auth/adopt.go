package auth

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
)

// Journal keeps the token beyond the end of the process; see [state.Log].
type Journal interface {
	Records() []state.Record
	Append(records ...state.Record) error
}

// tokenKey names the token in the journal.
const tokenKey = "token"

// tokenRecord is the token in the journal.
type tokenRecord struct {
	Token     string        `json:"token"`
	Accessor  string        `json:"accessor"`
	Epoch     uint64        `json:"epoch"`
	Policies  []string      `json:"policies"`
	Batch     bool          `json:"batch,omitempty"`
	Renewable bool          `json:"renewable"`
	Granted   time.Time     `json:"granted"`
	TTL       time.Duration `json:"ttl"`
	Full      time.Duration `json:"full"`
}

// adopt takes over the token of an earlier run, so that its leases stay
// valid. A token that the server does not know leads to a login; one that it
// cannot be asked about now is used as recorded.
func (k *Keeper) adopt(ctx context.Context, h *held) {
	record, ok := k.recorded()
	if !ok {
		return
	}
	k.epoch, k.adopted = record.Epoch, vault.Sensitive(record.Token)
	if !k.cfg.Method.Owns() {
		return // whoever owns the token decides which one is used
	}
	k.adoptRetired()
	auth := &vault.Auth{
		Token: k.adopted, Accessor: record.Accessor, Policies: record.Policies,
		Renewable: record.Renewable, TTL: record.TTL, Batch: record.Batch,
	}
	granted := time.Now()
	looked, err := k.cfg.Server.LookupSelf(ctx, k.adopted)
	switch vault.Classify(err) {
	case vault.None:
		auth = authFromLookup(k.adopted, looked)
	case vault.Later:
		granted = record.Granted
		k.cfg.Log.Warn("the token of the earlier run could not be looked up; it is used all the same", zap.Error(err))
	default:
		k.cfg.Log.Info("the token of the earlier run has ended; logging in", zap.Error(err))
		return
	}
	h.take(auth, granted)
	h.facts.Full = max(record.Full, auth.TTL)
	k.publish(h, auth, k.earlier[record.Epoch-1].Ends)
	k.cfg.Log.Info("token adopted", zap.String("accessor", auth.Accessor), zap.Duration("ttl", auth.TTL))
}

// recorded returns the token in the journal.
func (k *Keeper) recorded() (record tokenRecord, ok bool) {
	if k.cfg.Journal == nil {
		return tokenRecord{}, false
	}
	return recordedIn(k.cfg.Journal.Records())
}

// record has the journal hold the token as it is now. A failure costs a login
// after the next start, and nothing else.
func (k *Keeper) record(h *held) {
	token := k.Token()
	value, err := json.Marshal(tokenRecord{
		Token: token.Value.Reveal(), Accessor: token.Accessor, Epoch: token.Epoch, Policies: h.policies, Batch: h.batch,
		Renewable: h.facts.Renewable, Granted: h.facts.Granted, TTL: h.facts.TTL, Full: h.facts.Full,
	})
	kept := state.Record{Key: tokenKey, Value: value}
	k.mu.Lock()
	k.kept = kept
	k.mu.Unlock()
	if err == nil && k.cfg.Journal != nil {
		err = k.cfg.Journal.Append(kept)
	}
	if err != nil {
		k.cfg.Log.Error("saving the token in the state failed", zap.Error(err))
	}
}

// take makes the token of a login what is held.
func (h *held) take(auth *vault.Auth, granted time.Time) {
	h.policies, h.batch = auth.Policies, auth.Batch
	h.facts = schedule.Facts{
		Held: true, Leased: auth.TTL > 0, Renewable: auth.Renewable && !auth.Batch,
		Granted: granted, TTL: auth.TTL, Full: auth.TTL, Seed: h.facts.Seed + 1,
	}
}
