// Package state keeps what must outlive the agent: its token, and the leases
// that it holds, so that the next start adopts them instead of issuing anew.
//
// A [Log] is a sealed, append-only file of [Record]s, a value for each key.
// What [Log.Append] has returned for is on the disk: a kill at any instant
// leaves the state before or after a call, never between. A file that was cut
// off in the middle of a write is read up to there. One that was changed, that
// belongs to another key, or that is no state at all is set aside and never
// trusted; see [Open].
//
// The file is a header followed by frames (frame.go). Each frame is sealed
// with AES-256-GCM by a key that belongs to this file alone, and bound to its
// place in it, so that frames cannot be dropped, swapped or brought in from
// another file. Where the sealing key comes from is told in key.go.
//
// Start reading at [Open].
package state
