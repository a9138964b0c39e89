// Package intent is how an engine tells the server what it is about to create
// outside, before it does: so that a crash in between leaves nothing behind.
//
// An engine calls Record with the secret that its own revocation understands,
// which must name what will exist, and goes on only if that succeeds. The server
// then sees to it that the secret is either leased or revoked, whatever happens.
// Revoking what was never created must therefore be no error. An engine that
// knows that nothing was created calls Withdraw, which spares the revocation.
//
// The recorder travels in the context of the request; where there is none, as in
// a test of the engine alone, nothing is recorded.
package intent

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"
)

// Recorder keeps the intent of one request.
type Recorder interface {
	// Record makes it durable that the secret is about to come into being.
	Record(ctx context.Context, secret *logical.Secret) error
	// Withdraw says that nothing of it did.
	Withdraw(ctx context.Context)
}

type key struct{}

// With returns a context whose engine calls go to r.
func With(ctx context.Context, r Recorder) context.Context {
	return context.WithValue(ctx, key{}, r)
}

// Record makes an intent durable; the engine must not create anything before it
// has returned nil.
func Record(ctx context.Context, secret *logical.Secret) error {
	if r, ok := ctx.Value(key{}).(Recorder); ok {
		return r.Record(ctx, secret)
	}
	return nil
}

// Withdraw takes the intent back: nothing was created, or it is gone again.
func Withdraw(ctx context.Context) {
	if r, ok := ctx.Value(key{}).(Recorder); ok {
		r.Withdraw(ctx)
	}
}
