package vault

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// WithNamespace returns a client whose requests go to another namespace. It
// shares the connection budget.
func (c *Client) WithNamespace(namespace string) *Client {
	out := *c
	out.namespace, out.mounts = namespace, newMounts()
	return &out
}

// WithWrapping returns a client whose logins ask for a wrapped answer, to be
// unwrapped within ttl; see [Auth]. Other requests are as before.
func (c *Client) WithWrapping(ttl time.Duration) *Client {
	out := *c
	out.wrapTTL = ttl
	return &out
}

// Login sends credentials to the login path of an auth method, such as
// "auth/approle/login". The error is an *Error.
func (c *Client) Login(ctx context.Context, path string, body map[string]any) (*Auth, error) {
	sender := c
	if c.wrapTTL > 0 {
		sender = c.wrapping(c.wrapTTL)
	}
	secret, err := sender.Write(ctx, "", path, body)
	switch {
	case err != nil:
		return nil, err
	case c.wrapTTL > 0 && (secret == nil || secret.Wrap == nil || secret.Wrap.Token == ""):
		return nil, &Error{Op: "logging in at", Path: path, Kind: Later,
			Cause: errors.New("the answer is not wrapped, although wrap_ttl asks for it")}
	case c.wrapTTL > 0:
		return &Auth{Wrap: secret.Wrap}, nil
	case secret == nil || secret.Auth == nil || secret.Auth.Token == "":
		return nil, &Error{Op: "logging in at", Path: path, Kind: Later,
			Cause: errors.New("the answer carries no token; check the mount path of the method")}
	default:
		return secret.Auth, nil
	}
}

// Wrap has the server put data aside, to be fetched once within ttl by whoever
// holds the token that it returns. The error is an *Error.
func (c *Client) Wrap(ctx context.Context, token Sensitive, ttl time.Duration, data map[string]any) (*Wrapping, error) {
	const path = "sys/wrapping/wrap"
	secret, err := c.wrapping(ttl).Write(ctx, token, path, data)
	switch {
	case err != nil:
		return nil, err
	case secret == nil || secret.Wrap == nil || secret.Wrap.Token == "":
		return nil, &Error{Op: "writing", Path: path, Cause: errors.New("the answer is not wrapped"), Kind: Later}
	default:
		return secret.Wrap, nil
	}
}

// wrapping returns a client all of whose answers are wrapped.
func (c *Client) wrapping(ttl time.Duration) *Client {
	out := *c
	out.api = c.api.WithRequestCallbacks() // a shallow copy
	out.api.SetWrappingLookupFunc(func(string, string) string { return strconv.Itoa(int(ttl.Seconds())) })
	return &out
}
