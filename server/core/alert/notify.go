package alert

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// Targets notifies by mail or through a webhook, as the target says.
type Targets struct {
	Mail    *Mail
	Webhook *Webhook
}

// Notify implements Notifier.
func (t Targets) Notify(ctx context.Context, target string, a Alert) error {
	if strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
		return t.Webhook.Notify(ctx, target, a)
	}
	return t.Mail.Notify(ctx, target, a)
}

// ShownTargets returns whom the rule notifies, without what could be a key.
func (r Rule) ShownTargets() []string {
	shown := make([]string, len(r.Notify))
	for i, target := range r.Notify {
		shown[i] = redactTarget(target)
	}
	return shown
}

// redactTarget leaves out of a URL what may be a key to it.
func redactTarget(target string) string {
	parsed, err := url.Parse(target)
	if err != nil || parsed.Host == "" {
		return target
	}
	return parsed.Scheme + "://" + parsed.Host + "/…"
}

// headline is an alert in one line.
func headline(a Alert) string {
	return fmt.Sprintf("[%s] %s: %s", a.State, a.Rule.Severity, a.Rule.Name)
}
