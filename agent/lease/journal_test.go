package lease

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/agent/state"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/internal/vaulttest"
)

// recorded is a journal that holds one record, and forgets the rest.
type recorded state.Record

func (r recorded) Records() []state.Record    { return []state.Record{state.Record(r)} }
func (recorded) Append(...state.Record) error { return nil }

// FuzzRestore starts a manager on a journal with whatever in it: it is refused,
// or adopted and kept as any other secret, and never causes a panic or a storm.
func FuzzRestore(f *testing.F) {
	f.Add("lease/a/1", []byte(`{"want":{"Method":"GET","Path":"database/creds/app"},"lease_id":"a/1","renewable":true,"data":{"password":"x"},"version":3,"epoch":1,"issued":"2000-01-01T00:00:00Z","granted":"2000-01-01T00:00:00Z","ttl":100000000000,"full":100000000000,"in_use":true}`))
	f.Add("lease/a/1", []byte(`{"want":{"Method":"GET","Path":"database/creds/app"},"lease_id":"a/1","ttl":-1,"full":-9223372036854775808,"granted":"9999-12-31T23:59:59Z"}`))
	f.Add("secret/PUT", []byte(`{"want":{"Method":"PUT","Path":"pki/issue/web"},"data":{"certificate":"-----BEGIN CERTIFICATE-----\n"},"version":18446744073709551615}`))
	f.Add("secret/GET", []byte(`{"want":{"Method":"GET","Path":"static-creds"},"data":{"rotation_period":1,"ttl":-1}}`))
	f.Add("lease/", []byte(`null`))
	f.Add("token", []byte(`{`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		synctest.Test(t, func(t *testing.T) {
			server := vaulttest.New()
			server.Role(creds, vaulttest.Role{TTL: time.Hour})
			journal := recorded{Key: key, Value: value}
			m, err := New(Config{Server: server.Client(t), Journal: journal, Log: zap.NewNop()})
			if err != nil {
				return
			}
			Recorded(journal.Records(), time.Now())
			wants := map[vault.Want]schedule.Policy{want(t, creds): {}}
			for w := range m.adopted {
				wants[w] = schedule.Policy{}
			}
			m.Want(wants)
			m.SetToken(vault.Token{Value: vaulttest.RootToken, Epoch: 1})
			go func() { _ = m.Run(t.Context()) }()
			pass(time.Minute)
			m.Status()
			if n := server.Requests(); n > 60 {
				t.Errorf("%d requests in a minute", n)
			}
			if _, ok := m.Snapshot().Lookup(want(t, creds)); !ok {
				t.Error("the secret that the server issues is missing")
			}
		})
	})
}
