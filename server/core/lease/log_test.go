package lease

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/novatech/securevault/server/core/expiry"
	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
)

// giver is an engine that grants every renewal.
type giver struct{ target }

func (*giver) Renew(_ context.Context, l *Lease, increment time.Duration) (*logical.Response, error) {
	secret := *l.Secret
	secret.TTL = increment
	return &logical.Response{Secret: &secret}, nil
}

func TestTheLogTellsTheLifeOfALeaseButNoSecret(t *testing.T) {
	var log bytes.Buffer
	m := New(Config{
		Storage: store.View(inmem.New(), ""), Queue: expiry.New(), Engine: &giver{},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: &log}),
	})
	if err := m.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := aLease("one")
	l.Data, l.Secret.Renewable = map[string]any{"password": "hush"}, true
	if err := m.Register(t.Context(), l, &Place{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Renew(t.Context(), l.ID, 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := m.Revoke(t.Context(), l.ID); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"lease issued", "lease renewed", "lease revoked"} {
		if !strings.Contains(log.String(), want+": lease_id=db/creds/app/one") {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "hush") {
		t.Error("the log tells a secret")
	}
}
