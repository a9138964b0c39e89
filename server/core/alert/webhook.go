package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// webhookTimeout bounds one attempt.
	webhookTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is read, so that the connection can be
	// used again, in bytes.
	maxAnswer = 64 << 10
)

// Webhook tells by POST of a JSON object.
type Webhook struct{ Client *http.Client }

// Message is what a webhook gets.
type Message struct {
	Alert       string    `json:"alert"`
	State       State     `json:"state"`
	Severity    string    `json:"severity"`
	Condition   string    `json:"condition"`
	Value       float64   `json:"value"`
	Since       time.Time `json:"since"`
	Description string    `json:"description,omitempty"`
	Text        string    `json:"text"` // all of it in a line, as chats show it
}

// Notify implements Notifier.
func (w *Webhook) Notify(ctx context.Context, target string, a Alert) error {
	body, err := json.Marshal(Message{
		Alert: a.Rule.Name, State: a.State, Severity: a.Rule.Severity, Condition: a.Rule.Condition.String(),
		Value: a.Value, Since: a.Since.UTC(), Description: a.Rule.Description,
		Text: fmt.Sprintf("%s (%s, now %g)", headline(a), a.Rule.Condition, a.Value),
	})
	if err != nil {
		return fmt.Errorf("encoding an alert: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL of the webhook is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.Client.Do(req)
	if err != nil {
		if transport, ok := errors.AsType[*url.Error](err); ok {
			err = transport.Err // the rest repeats the URL, which may hold a key
		}
		return fmt.Errorf("calling the webhook at %s: %w", redactTarget(target), err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook at %s answers %s", redactTarget(target), resp.Status)
	}
	return nil
}
