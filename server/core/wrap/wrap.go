// Package wrap keeps answers for whoever holds a token that is good for taking
// them once.
//
// A wrapped answer lives inside the record of its token: written, found, expired
// and revoked with it, so that one cannot outlast the other. The token's only
// policy is one that does not exist: it can do nothing else. Whoever finds it
// used up knows that somebody else has taken the answer.
package wrap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/helper/wrapping"

	"github.com/novatech/securevault/server/core/token"
)

// ErrInvalid is returned for wrapping tokens that are unknown, expired or taken
// already; the text is part of the wire.
var ErrInvalid = errors.New("wrapping token is not valid or does not exist")

// The parts of an answer in its token's record.
const (
	bodyKey     = "wrapped_answer"
	accessorKey = "wrapped_accessor"
)

// Answer is what is wrapped.
type Answer struct {
	Body     []byte // as the client would have got it
	Path     string // of the request that it answers
	Accessor string // of the token in it, if it is a login
}

// Store wraps and unwraps. Its methods are safe for concurrent use.
type Store struct {
	tokens *token.Store
	policy string
}

// NewStore returns a store whose tokens are kept among tokens, and carry the
// name of a policy that grants nothing.
func NewStore(tokens *token.Store, policy string) *Store {
	return &Store{tokens: tokens, policy: policy}
}

// Wrap keeps an answer for ttl and tells which token takes it.
func (s *Store) Wrap(ctx context.Context, answer Answer, ttl time.Duration) (*wrapping.ResponseWrapInfo, error) {
	secret, t, err := s.tokens.Create(ctx, "", token.Token{
		Policies: []string{s.policy},
		Path:     answer.Path,
		TTL:      ttl,
		NumUses:  1,
		Internal: map[string]any{bodyKey: string(answer.Body), accessorKey: answer.Accessor},
	})
	if err != nil {
		return nil, fmt.Errorf("wrapping an answer: %w", err)
	}
	return &wrapping.ResponseWrapInfo{
		TTL: ttl, Token: secret, Accessor: t.Accessor, CreationTime: t.IssueTime,
		CreationPath: answer.Path, WrappedAccessor: answer.Accessor,
	}, nil
}

// Lookup describes a wrapped answer without taking it: the path and the time of
// its creation, and the TTL that it had then.
func (s *Store) Lookup(secret string) (*wrapping.ResponseWrapInfo, error) {
	t, err := s.tokens.Lookup(secret)
	if err != nil || t.UsedUp() || !s.holds(t) {
		return nil, ErrInvalid
	}
	return &wrapping.ResponseWrapInfo{TTL: t.TTL, CreationTime: t.IssueTime, CreationPath: t.Path}, nil
}

// Unwrap takes an answer. Of several that try, one gets it.
func (s *Store) Unwrap(ctx context.Context, secret string) ([]byte, error) {
	answer, _, err := s.take(ctx, secret)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Rewrap takes an answer and wraps it again, for the time that it had at first.
func (s *Store) Rewrap(ctx context.Context, secret string) (*wrapping.ResponseWrapInfo, error) {
	answer, ttl, err := s.take(ctx, secret)
	if err != nil {
		return nil, err
	}
	return s.Wrap(ctx, answer, ttl)
}

func (s *Store) take(ctx context.Context, secret string) (Answer, time.Duration, error) {
	if _, err := s.Lookup(secret); err != nil {
		return Answer{}, 0, err // an ordinary token must not lose a use here
	}
	t, err := s.tokens.Use(ctx, secret)
	if errors.Is(err, token.ErrInvalid) {
		return Answer{}, 0, ErrInvalid
	}
	if err != nil {
		return Answer{}, 0, fmt.Errorf("unwrapping an answer: %w", err)
	}
	if err := s.tokens.Revoke(ctx, t.Key); err != nil {
		return Answer{}, 0, fmt.Errorf("unwrapping an answer: %w", err)
	}
	body, _ := t.Internal[bodyKey].(string)
	accessor, _ := t.Internal[accessorKey].(string)
	return Answer{Body: []byte(body), Path: t.Path, Accessor: accessor}, t.TTL, nil
}

// holds tells a wrapping token from any other.
func (s *Store) holds(t *token.Token) bool {
	_, ok := t.Internal[bodyKey].(string)
	return ok && len(t.Policies) == 1 && t.Policies[0] == s.policy
}
