package server

// said is one thing that pages say, in the order of pageLanguages.
type said [2]string

// wording is what a page says.
type wording struct {
	title, text map[pageState]said
	button      said
}

// What pages say where they have no words of their own.
var (
	commonTitles = map[pageState]said{
		pageUnknown:     {"Este enlace no es válido", "This link is not valid"},
		pageExpired:     {"Este enlace ha caducado", "This link has expired"},
		pageUnavailable: {"Ahora mismo no es posible", "This is not possible right now"},
	}
	commonTexts = map[pageState]said{
		pageDone:    {"Hemos guardado tu decisión. Puedes cerrar esta página.", "Your decision has been saved. You can close this page."},
		pageUnknown: {"Ábrelo otra vez desde el correo, completo.", "Open it again from the email, as a whole."},
		pageUnavailable: {
			"No hemos podido guardar tu decisión. Vuelve a intentarlo dentro de unos minutos, por favor.",
			"Your decision could not be saved. Please try again in a few minutes.",
		},
	}
)

// sayFirst is what the first list says that knows the state.
func sayFirst(state pageState, lists ...map[pageState]said) said {
	for _, list := range lists {
		if s, ok := list[state]; ok {
			return s
		}
	}
	return said{}
}

var unsubscribeWording = wording{
	title: map[pageState]said{
		pageAsk:  {"¿Quieres dejar de recibir estos correos?", "Do you want to stop receiving these emails?"},
		pageDone: {"Hecho: ya no recibirás estos correos", "Done: you will not receive these emails any more"},
	},
	text: map[pageState]said{
		pageAsk: {"Pulsa el botón y no te enviaremos más correos de este tipo.", "Press the button and we will send you no more emails of this kind."},
		pageUnknown: {
			"Ábrelo otra vez desde el correo, completo. Si no funciona, responde a ese correo y pídenos la baja.",
			"Open it again from the email, as a whole. If that does not help, answer the email and ask to be unsubscribed.",
		},
	},
	button: said{"Darme de baja", "Unsubscribe"},
}

// preferencesLink is the text of the link to the page of preferences.
var preferencesLink = said{"Elegir qué correos quiero recibir", "Choose which emails I want to receive"}

var confirmWording = wording{
	title: map[pageState]said{
		pageAsk:  {"¿Quieres recibir nuestros correos?", "Do you want to receive our emails?"},
		pageDone: {"Hecho: está confirmado", "Done: it is confirmed"},
	},
	text: map[pageState]said{
		pageAsk: {
			"Pulsa el botón para confirmarlo. Si no lo has pedido tú, cierra esta página y no recibirás nada.",
			"Press the button to confirm it. If you have not asked for this, close this page and nothing will be sent to you.",
		},
		pageExpired: {"Vuelve a pedirlo y te enviaremos otro correo.", "Ask for it again and we will send you another email."},
	},
	button: said{"Sí, confirmo", "Yes, I confirm"},
}

// What the page of a confirmation says where something was asked for after it was shown.
var (
	confirmedPart = said{
		"Lo que viste está confirmado. Mientras tanto se ha pedido algo más.", "What you saw is confirmed. Something else has been asked for meanwhile.",
	}
	confirmedNone = said{
		"Lo que se pide ha cambiado desde que abriste la página. Míralo otra vez, por favor.",
		"What is asked for has changed since you opened the page. Please look again.",
	}
)

var preferencesWording = wording{
	title: map[pageState]said{pageAsk: {"Qué correos quieres recibir", "Which emails you want to receive"}},
	text:  map[pageState]said{pageAsk: {"Cada cambio se guarda en cuanto pulsas su botón.", "Each change is saved as soon as you press its button."}},
}

// What the page of preferences says of a purpose.
var (
	purposeReceived    = said{"Lo recibes.", "You receive it."}
	purposeNotReceived = said{"No lo recibes.", "You do not receive it."}
	purposeWaits       = said{
		"No lo recibes: falta que lo confirmes en el correo que te enviamos.", "You do not receive it: confirm it in the email that we send you.",
	}
	purposeAlways   = said{"Lo recibes porque la ley nos obliga a enviarlo.", "You receive it because the law obliges us to send it."}
	purposeWithdraw = said{"Dejar de recibirlo", "Stop receiving it"}
	purposeAsk      = said{"Quiero recibirlo", "I want to receive it"}
)

// What the page of preferences says of a purpose about which something has just been decided, by the field of the form.
var preferenceNotices = map[string]said{
	fieldWithdraw: {"ya no lo recibirás.", "you will not receive it any more."},
	fieldAsk: {
		"te enviamos un correo. Confírmalo con su enlace y lo recibirás.",
		"we send you an email. Confirm it by its link and you will receive it.",
	},
}
