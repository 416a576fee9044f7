package sandbox

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/internal/wire"
)

// exchange is one call and its answer.
type exchange struct {
	s *Server
	w http.ResponseWriter
	r *http.Request
	// ctx ends with the exchange: when the client leaves or the server closes.
	ctx    context.Context //nolint:containedctx // see above
	call   call
	rule   *Rule
	entry  Entry
	reused bool // the connection has carried another call
	billed bool // the entry is on disk
}

// What Entry.Note says.
const (
	noteClientGone   = "client_gone"
	noteHang         = "hang"
	noteClosed       = "close_connection"
	noteCutAfter     = "cut_after_frames"
	noteCutIn        = "cut_in_frame"
	noteCutBody      = "cut_in_body"
	noteException    = "exception_after_frames"
	noteCorrupt      = "corrupt_crc"
	noteMissingUsage = "missing_usage"
)

// answer plays the rule.
func (x *exchange) answer() {
	fault := &x.rule.Fault
	x.entry.Metadata = x.call.metadata
	if tier := x.call.tier(); tier != "default" {
		x.entry.Tier = tier
	}
	if fault.CloseConnection && x.reused {
		x.entry.Note = noteClosed
		_ = x.bill() // the connection is severed either way
		x.sever()
		return
	}
	gone := x.pause(x.rule.Delay.FirstByte)
	if e := x.rule.Error; e != nil {
		x.fail(&failure{e.Status, e.Type, e.Message, modelsURI})
		return
	}
	out, problem := x.operate()
	if problem != nil {
		x.fail(problem)
		return
	}
	if fault.MissingUsage {
		out.hideUsage()
	}
	if fault.Hang {
		x.entry.Note = noteHang
		_ = x.bill() // nothing more is sent, logged or not
		<-x.ctx.Done()
		x.sever()
		return
	}
	if gone {
		x.entry.Note = noteClientGone
	}
	if out.events != nil {
		x.stream(out)
		return
	}
	x.plain(out)
}

// outcome is an answer with status 200: a body or events.
type outcome struct {
	body   object
	events []event
	header map[string]string
}

func (o *outcome) hideUsage() {
	dropUsage(o.body)
	for name := range o.header {
		if strings.HasSuffix(name, "Token-Count") {
			delete(o.header, name)
		}
	}
	kept := o.events[:0]
	for _, e := range o.events {
		if e.kind == "metadata" {
			continue
		}
		if inner, ok := e.payload["metadata"].(object); ok && inner != nil {
			continue // Nova's chunk of that name
		}
		dropUsage(e.payload)
		e.usage = false
		kept = append(kept, e)
	}
	o.events = kept
}

// bill puts the entry on disk, once.
func (x *exchange) bill() error {
	if x.billed {
		return nil
	}
	x.billed = true
	return x.s.log.record(&x.call, &x.entry)
}

// billAs bills what was not served whole.
func (x *exchange) billAs(note string) {
	x.entry.Note, x.entry.Complete = note, false
	_ = x.bill() // the client does not get the usage, so nothing depends on it
}

// noLog is the answer when usage cannot be logged and so must not be reported.
var noLog = &failure{http.StatusInternalServerError, "InternalServerException", "The sandbox cannot write its log.",
	modelsURI}

func (x *exchange) head(contentType string) http.Header {
	h := x.w.Header()
	h["x-amzn-RequestId"] = []string{x.call.id}
	h.Set("Content-Type", contentType)
	return h
}

// fail answers with an error in the form of the real service.
func (x *exchange) fail(f *failure) {
	x.entry.Status, x.entry.ErrorType = f.status, f.kind
	if err := x.bill(); err != nil {
		f = noLog
	}
	h := x.head("application/json")
	body := marshal(object{"message": f.message})
	if x.call.mantle {
		body = marshal(x.call.enveloped(f))
	} else {
		h["x-amzn-ErrorType"] = []string{f.kind + ":" + f.uri}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(f.status)
	_, _ = x.w.Write(body) // a client that is gone gets no error
}

// plain sends an answer that is not a stream.
func (x *exchange) plain(out *outcome) {
	body := marshal(out.body)
	x.entry.Status = http.StatusOK
	note := ""
	switch fault := x.rule.Fault; {
	case fault.CutInBody:
		note = noteCutBody
	case fault.MissingUsage:
		note = noteMissingUsage
	case x.ctx.Err() != nil:
		note = noteClientGone
	}
	x.entry.Note, x.entry.Complete = note, note == ""
	if err := x.bill(); err != nil {
		x.fail(noLog)
		return
	}
	h := x.head("application/json")
	for name, value := range out.header {
		h.Set(name, value)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if note == noteCutBody {
		_, _ = x.w.Write(body[:len(body)/2])
		x.cut()
		return
	}
	_, _ = x.w.Write(body) // what the client missed is billed all the same
}

// stream sends the events, broken where the rule demands it.
func (x *exchange) stream(out *outcome) {
	kind := "application/vnd.amazon.eventstream"
	if x.call.op.NamesModel() {
		kind = "text/event-stream"
	}
	h := x.head(kind)
	for name, value := range out.header {
		h.Set(name, value)
	}
	x.entry.Status = http.StatusOK
	if x.entry.Note == "" {
		x.entry.Note = x.rule.Fault.note(len(out.events))
	}
	x.entry.Complete = x.entry.Note == ""
	x.w.WriteHeader(http.StatusOK)
	if x.rule.Delay.Frame > 0 {
		x.flush()
	}

	var buf []byte
	for i := range out.events {
		if x.breakBefore(i, out.events) {
			return
		}
		if x.pause(x.rule.Delay.Frame) {
			x.billAs(noteClientGone)
			return
		}
		if out.events[i].usage && x.bill() != nil {
			x.cut()
			return
		}
		buf = x.frame(buf[:0], i, &out.events[i])
		if _, err := x.w.Write(buf); err != nil {
			x.billAs(noteClientGone)
			return
		}
		if x.rule.Fault.CutInFrame == i+1 {
			_ = x.bill() // the connection is severed either way
			x.cut()
			return
		}
		if x.rule.Delay.Frame > 0 {
			x.flush()
		}
	}
	if x.breakBefore(len(out.events), out.events) {
		return
	}
	if x.bill() != nil {
		x.cut()
	}
}

// note names the fault that will show in a stream of so many frames.
func (f *Fault) note(frames int) string {
	switch {
	case f.CutAfterFrames != nil && *f.CutAfterFrames <= frames:
		return noteCutAfter
	case f.CutInFrame > 0 && f.CutInFrame <= frames:
		return noteCutIn
	case f.ExceptionAfterFrames != nil && *f.ExceptionAfterFrames <= frames:
		return noteException
	case f.CorruptCRC > 0 && f.CorruptCRC <= frames:
		return noteCorrupt
	case f.MissingUsage:
		return noteMissingUsage
	}
	return ""
}

// breakBefore ends the stream when the rule breaks it after sent frames.
func (x *exchange) breakBefore(sent int, events []event) bool {
	fault := &x.rule.Fault
	if fault.CutAfterFrames != nil && *fault.CutAfterFrames == sent {
		_ = x.bill() // the connection is severed either way
		x.cut()
		return true
	}
	if fault.ExceptionAfterFrames == nil || *fault.ExceptionAfterFrames != sent {
		return false
	}
	x.entry.Output = sentShare(x.entry.Output, events, sent)
	if x.bill() != nil {
		x.cut()
		return true
	}
	if x.call.op.IsMessages() {
		broken := x.call.enveloped(&failure{message: "The sandbox script ends this stream."})
		_, _ = x.w.Write(sse(&event{kind: kindNamed, payload: broken}))
		return true
	}
	if x.call.op.NamesModel() {
		_, _ = x.w.Write([]byte(`data: {"error":{"message":"The sandbox script ends this stream.","type":"server_error"}}` + "\n\n"))
		return true
	}
	_, _ = x.w.Write(exceptionFrame(fault.Exception))
	return true
}

// sentShare is the part of the output tokens that so many frames carried.
func sentShare(output int64, events []event, sent int) int64 {
	var all, done int64
	for i, e := range events {
		all += int64(e.text)
		if i < sent {
			done += int64(e.text)
		}
	}
	if all == 0 {
		return 0
	}
	return (output*done + all - 1) / all
}

func exceptionFrame(name string) []byte {
	if name == "" {
		name = "internalServerException"
	}
	return wire.AppendFrame(nil, []wire.Field{
		{Name: ":exception-type", Value: name},
		{Name: ":content-type", Value: "application/json"},
		{Name: ":message-type", Value: "exception"},
	}, []byte(`{"message":"The sandbox script ends this stream by an exception."}`))
}

// filler is what the member "p" of real events is cut from.
const filler = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// frame encodes one event, corrupted or cut where the rule demands it.
func (x *exchange) frame(dst []byte, i int, e *event) []byte {
	if x.call.op.NamesModel() {
		dst = append(dst, sse(e)...)
		if x.rule.Fault.CutInFrame == i+1 {
			dst = dst[:len(dst)/2]
		}
		return dst
	}
	payload := e.payload
	if e.kind == "chunk" && !x.call.op.OnAgents() {
		payload = object{"bytes": marshal(e.payload)}
	}
	text := bytes.TrimSuffix(marshal(payload), []byte("}"))
	text = append(text, `,"p":"`...)
	text = append(append(text, filler[:(i*7+len(text))%len(filler)]...), `"}`...)
	dst = wire.AppendFrame(dst, []wire.Field{
		{Name: ":event-type", Value: e.kind},
		{Name: ":content-type", Value: "application/json"},
		{Name: ":message-type", Value: "event"},
	}, text)
	switch i + 1 {
	case x.rule.Fault.CorruptCRC:
		dst[len(dst)-1] ^= 0xff
	case x.rule.Fault.CutInFrame:
		dst = dst[:len(dst)/2]
	}
	return dst
}

// pause waits and reports whether the client left meanwhile.
func (x *exchange) pause(d time.Duration) (gone bool) {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-x.ctx.Done():
		}
	}
	return x.ctx.Err() != nil
}

// flush sends what is written. Frames that nothing slows down go out together.
func (x *exchange) flush() {
	_ = http.NewResponseController(x.w).Flush() // a client that is gone ends the context
}

// cut ends an answer without the end of its body; what is written arrives.
func (x *exchange) cut() {
	x.flush()
	x.sever()
}

// sever closes the connection as it is; nothing that is still to be sent is.
func (x *exchange) sever() {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		// Not a connection of HTTP/1.1: aborting is all that is left.
		panic(http.ErrAbortHandler)
	}
	_ = conn.Close()
}
