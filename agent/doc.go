// Package agent composes the agent out of its stages and runs it:
//
//	config → auth (token) → lease (snapshot) → templates (bytes) → sink (files) → notify
//
// and only then lease may revoke what was replaced. The stages do not know
// each other. What flows between them passes through here: tokens
// (tokens.go), wants and secrets ([Agent.pass]), bytes and files
// (publish.go), announcements and their outcome (announce.go), and errors,
// which end here as one of the exit codes of exit.go.
//
// An [Agent] runs until it is told to stop, or once: until everything is
// rendered and the app was told. Start reading at [Agent.Run]; command.go is
// what `securevault agent` does around it.
package agent
