package server

import (
	"context"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/service"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type answerInput struct {
	ConversationPath
	Body struct {
		Agent agentName `json:"agent,omitempty" doc:"Who answers. Default: the agent of the token's name."`
		Seen  int64     `json:"seen" minimum:"0" doc:"The version of the conversation that they have read."`
		Key   string    `json:"key" minLength:"8" maxLength:"100" doc:"A name for this attempt, such as a random UUID. An answer whose key was accepted before is not sent again."`
		Text  string    `json:"text" minLength:"1" maxLength:"10000" doc:"What to say: plain text."`
		Then  string    `json:"then,omitempty" enum:"Open,Pending,Solved" doc:"How its tickets stand after that. Default: Pending, in which the customer is waited for."`
	}
}

type answerOutput struct {
	Body struct {
		Message string `json:"message" format:"uuid" doc:"The id of the message that leaves. What becomes of it is told in the thread."`
		Version int64  `json:"version" doc:"The conversation's, with this message."`
		Again   bool   `json:"again,omitempty" doc:"Whether the same key was accepted before: nothing leaves a second time."`
	}
}

type operator func(id, method, path, summary, description, scope string, errs ...int) huma.Operation

// registerAnswers adds what is done about a conversation.
func (s *Server) registerAnswers(api huma.API, operation operator, one string) {
	missing, bad, post := http.StatusNotFound, http.StatusUnprocessableEntity, http.MethodPost
	verb := func(id, path, summary, description string) huma.Operation {
		return collides(api, operation(id, post, one+path, summary, description, scopeConversationsWrite, missing, bad))
	}
	register(api, verb("answer-conversation", "/answer", "Answer, in the thread and on the network on which they wrote",
		"It is refused while another agent's claim holds, and where anything was written since the version that was seen. It leaves at most once."),
		answerConversation)
	register(api, verb("claim-conversation", "/claim", "Say that an agent is answering, so that no other does",
		"Who holds it already renews it. It ends by itself, so that nobody blocks a conversation by going home."), claimConversation)
	register(api, verb("release-conversation", "/release", "Give a claim back", "That of another agent stays."), releaseConversation)
	register(api, verb("note-conversation", "/note", "Write a note for ourselves", "It never leaves, and stops no clock."), noteConversation)
	register(api, verb("snooze-conversation", "/snooze", "Put a conversation away until a moment, or until they write",
		"Clocks of tickets run on: a promise is a promise."), snoozeConversation)
	register(api, verb("close-conversation", "/close", "End a conversation, and solve its tickets", ""), closeConversation)
	register(api, verb("reopen-conversation", "/reopen", "Take a conversation up again", ""), reopenConversation)
	register(api, verb("settle-answer", "/messages/{message}/settle", "Say what became of an answer that may have arrived, or that failed",
		"Look on the network first. An answer is Ambiguous where the network fell silent when it was handed over, and could not be asked since."), settleAnswer)
	register(api, collides(api, operation("take-up-mention", post, "/v1/mentions/{id}/conversation",
		"Begin a conversation with who wrote a post that was not to us", "Where it has one already, that is told.", scopeConversationsWrite, missing, bad)),
		takeUpMention)
}

// readText is what an agent wrote, with the line ends of this world. Programs that mistake an encoding are told so, before a customer is.
func readText(text string) (string, error) {
	text = strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text))
	switch {
	case text == "":
		return "", huma.Error422UnprocessableEntity("text: says nothing")
	case strings.ContainsRune(text, utf8.RuneError):
		return "", huma.Error422UnprocessableEntity("text: was not sent as UTF-8: letters of it are lost")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }):
		return "", huma.Error422UnprocessableEntity("text: has control characters, which are no text: leave them out")
	}
	return text, nil
}

func answerConversation(ctx context.Context, in *answerInput) (*answerOutput, error) {
	by, err := in.Body.Agent.actor(ctx)
	if err != nil {
		return nil, err
	}
	text, err := readText(in.Body.Text)
	if err != nil {
		return nil, err
	}
	done, err := tenantOf(ctx).db.AnswerConversation(ctx, in.ID, store.Answer{
		By: by, Seen: in.Body.Seen, Key: in.Body.Key, Text: text, Then: service.Status(in.Body.Then),
		Flaw: func(by store.Answering, text string) string {
			return compose.AnswerFlaw(by.ChannelType, by.Takes, by.To, text)
		},
	})
	if err != nil {
		return nil, collision(ctx, in.ID, in.Body.Seen, err)
	}
	out := &answerOutput{}
	out.Body.Message, out.Body.Version, out.Body.Again = done.Message, done.Version, done.Again
	return out, nil
}
