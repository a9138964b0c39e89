package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/admin"
	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/schedule"
	"github.com/novatech/securevault/internal/vault"
	"github.com/novatech/securevault/sink"
	"github.com/novatech/securevault/sink/envelope"
)

// wrapBound is how long the server may take to wrap a token before that is
// tried again.
const wrapBound = 15 * time.Second

// wrapper is the server as the token sinks need it. Errors are classified by
// [vault.Classify].
type wrapper interface {
	Wrap(ctx context.Context, token vault.Sensitive, ttl time.Duration, data map[string]any) (*vault.Wrapping, error)
}

// tokens writes each new token to its sinks, on a goroutine of its own so that
// a server that is slow to wrap it holds up nothing else. A sink that fails is
// tried again alone.
type tokens struct {
	log     *zap.Logger
	server  wrapper
	policy  schedule.Policy // of the retries
	sinks   []*tokenSink
	wake    chan struct{} // capacity one: there is a newer token
	changed chan struct{} // capacity one: a sink was written, or has failed

	mu    sync.Mutex
	token vault.Token // to be written
	err   error       // of the last round; nil if it succeeded
}

// tokenSink is a file for the token, and the shape in which it goes there.
type tokenSink struct {
	file      sink.File
	wrapTTL   time.Duration       // 0 for a token that the server is not to wrap
	recipient *envelope.Recipient // nil for a token in the clear
	epoch     uint64              // of the token in the file, 0 for none; guarded by tokens.mu
}

// newTokens returns what writes the token of a login to the sinks.
func newTokens(file *config.File, client *vault.Client, opts Options) (*tokens, error) {
	t := &tokens{
		log: opts.Log, server: client, policy: schedule.Policy{}.WithDefaults(),
		wake: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
	if file.AutoAuth == nil {
		return t, nil
	}
	server, err := methodClient(file.AutoAuth.Method, client)
	if err != nil {
		return nil, failure{ExitConfig, err}
	}
	t.server = server
	for _, s := range file.AutoAuth.Sinks {
		added := &tokenSink{wrapTTL: time.Duration(s.WrapTTL), file: sink.File{
			Path: s.File.Path, Mode: s.File.Mode.FileMode(), Owner: string(s.File.Owner), Group: string(s.File.Group),
			CreateDirs: true, InPlace: s.File.InPlace,
		}}
		if added.recipient, err = newRecipient(s, opts.Getenv); err != nil {
			return nil, failure{ExitConfig, err}
		}
		t.sinks = append(t.sinks, added)
	}
	return t, nil
}

// newRecipient returns for whom a sink is encrypted, nil for everybody.
func newRecipient(s config.Sink, getenv func(string) string) (*envelope.Recipient, error) {
	if s.DHPath == "" {
		return nil, nil
	}
	out := &envelope.Recipient{KeyFile: s.DHPath, DeriveKey: s.DeriveKey, AAD: s.AAD}
	if s.AADEnvVar != "" {
		if out.AAD = getenv(s.AADEnvVar); out.AAD == "" {
			return nil, fmt.Errorf("%s: aad_env_var: the variable %q is empty; set it where the agent is started", s.Where("aad_env_var"), s.AADEnvVar)
		}
	}
	return out, nil
}

// Set says which token is to be in the sinks. It does not block.
func (t *tokens) Set(token vault.Token) {
	t.mu.Lock()
	fresh := token.Epoch != t.token.Epoch
	t.token = token
	t.mu.Unlock()
	if fresh {
		fire(t.wake)
	}
}

// Changed fires when [tokens.Written] or [tokens.Err] may have changed.
func (t *tokens) Changed() <-chan struct{} { return t.changed }

// Written reports whether every sink holds a token.
func (t *tokens) Written() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !slices.ContainsFunc(t.sinks, func(s *tokenSink) bool { return s.epoch == 0 })
}

// Err returns why a sink lacks the current token, nil if none does or if it is
// being written for the first time.
func (t *tokens) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// files returns the files of the sinks.
func (t *tokens) files() []sink.File {
	var files []sink.File
	for _, s := range t.sinks {
		files = append(files, s.file)
	}
	return files
}

// Run writes each token that is set until ctx ends.
func (t *tokens) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	failures := 0 // in a row
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.wake:
			failures = 0
		case <-timer.C:
		}
		err := t.round(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			timer.Reset(time.Hour) // nothing is due: what is next comes by wake
			continue
		}
		failures++
		retry := t.policy.Backoff(vault.Classify(err), failures, uint64(failures))
		timer.Reset(retry)
		t.log.Error("writing the token failed", zap.Int("failures", failures), zap.Duration("retry", retry.Round(time.Millisecond)), zap.Error(err))
	}
}

// round writes the token to every sink that has another, all at once, so that
// none waits for the wrapping of another.
func (t *tokens) round(ctx context.Context) error {
	t.mu.Lock()
	token := t.token
	var due []*tokenSink
	for _, s := range t.sinks {
		if s.epoch != token.Epoch {
			due = append(due, s)
		}
	}
	t.mu.Unlock()
	errs := make([]error, len(due))
	var work sync.WaitGroup
	for i, s := range due {
		work.Go(func() { errs[i] = s.write(ctx, t.server, token) })
	}
	work.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, s := range due {
		if errs[i] == nil {
			s.epoch = token.Epoch
		}
	}
	t.err = errors.Join(errs...)
	fire(t.changed)
	return t.err
}

// write puts a token into the file: wrapped first, then encrypted.
func (s *tokenSink) write(ctx context.Context, server wrapper, token vault.Token) error {
	text := token.Delivery()
	if s.wrapTTL > 0 {
		ctx, cancel := context.WithTimeoutCause(ctx, wrapBound, fmt.Errorf("the server took more than %s", wrapBound))
		defer cancel()
		wrapping, err := server.Wrap(ctx, token.Value, s.wrapTTL, map[string]any{"token": token.Value.Reveal()})
		if err != nil {
			return fmt.Errorf("wrapping the token for %q: %w", s.file.Path, err)
		}
		text = wrapping.Delivery()
	}
	content := []byte(text.Reveal())
	if s.recipient != nil {
		var err error
		if content, err = s.recipient.Seal(content); err != nil {
			return fmt.Errorf("encrypting the token for %q: %w", s.file.Path, err)
		}
	}
	_, err := s.file.Write(content)
	return err
}

// shares reports whether others than the agent work with its token. What they
// have issued with it dies with it, and the agent does not know of that.
func shares(file *config.File) bool {
	return file.AutoAuth != nil && file.AutoAuth.Has("sink") || lending(file) != admin.LendNever
}

// fire fires a channel of capacity one, which never blocks the sender.
func fire(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
