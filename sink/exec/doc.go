// Package exec runs a program with secrets in its environment, and supervises
// it.
//
// It owns the child of the agent, from the first environment to the exit code.
// A [Child] starts when [Child.Apply] brings the first environment, is replaced
// when a later one differs or [Child.Restart] asks for it, and gets the signals
// of [Child.Signal] and those sent to the agent that the agent has no use for.
// [Child.Run] lasts as long as the program: when that ends by itself, Run
// returns an [ExitError] with its exit code, and the agent is expected to end
// with the same.
//
// What it promises beyond that:
//
//   - The program leads a process group. To stop it, the stop signal goes to
//     the program, and when it has ended or its time is up, SIGKILL to all that
//     is left of the group. Where a shell runs the program, every signal goes
//     to the whole group: shells pass none on.
//   - The old program is gone before the new one starts.
//   - The agent's token and its line to systemd are not in the environment.
//   - When the agent is killed, the program gets the stop signal: the next agent
//     starts one of its own.
//   - Orphans left by the program or by a hook are adopted and waited for,
//     whether the agent is process 1 of a container or not.
//
// Start reading at [Child.Run].
package exec
