// Package systemd tells the service manager that started the agent how it
// fares: ready, reloading, stopping, alive.
//
// It speaks the protocol of sd_notify(3): one datagram for each message, to
// the unix socket that $NOTIFY_SOCKET names. An agent that was started by
// something else has no such socket, and every message to nobody is a
// success. The unit that goes with it has Type=notify, or Type=notify-reload
// with systemd 253 or later, and WatchdogSec= if it wants to be watched.
//
// Start reading at [Manager]; [Manager.Watch] is the watchdog.
package systemd
