// Package notify tells the app that new secrets are in place.
//
// It owns the ways to do so: [Signal] sends a signal to a process known by
// its id, its pidfile, its name or its control group, [Child] signals or
// restarts the child of the agent, [Command] runs a program, [Systemd] reloads
// or restarts a unit, [Webhook] sends an HTTP request. All are plain values,
// and each call of Notify is one attempt: whether to try again, and when, is
// the caller's business, who can so repeat a hook that failed without
// repeating anything else. A failure never says anything about the files,
// which are published already. No message carries a secret.
//
// [Coalesce] turns what each output asks for into what has to be done: every
// distinct notifier once, in the order in which it was first asked for.
//
// Start reading at [Notifier].
package notify
