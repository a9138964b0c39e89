package vault

import (
	"context"
	"time"
)

// Insist calls f up to the given number of times while it fails with an error
// that may go away by itself, with a growing pause between. It is for what is
// sent once and matters: a connection that has died at rest shows only in the
// request that it loses. The error is the last one.
func Insist(ctx context.Context, times int, f func(context.Context) error) error {
	pause := 200 * time.Millisecond
	for {
		err := f(ctx)
		times--
		if times <= 0 || Classify(err) != Later {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause *= 2
	}
}
