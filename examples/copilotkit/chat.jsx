// The chat: what the agent does is shown as cards, and where a person has to act a card holds the way there.
import { CopilotChat, CopilotKitProvider, useAgent, useCopilotKit, useConfigureSuggestions, useDefaultRenderTool } from "@copilotkit/react-core/v2";
import "@copilotkit/react-core/v2/styles.css";
import { useState } from "react";
import { createRoot } from "react-dom/client";
import "./chat.css";

/** What a card says of a result of Resto: of success, failure, and of a page on which a person approves or connects. */
function read(name, result) {
  let answer;
  try {
    answer = JSON.parse(result);
  } catch {
    return { state: "failed", text: result };
  }
  const text = answer.content?.find((part) => part.type === "text")?.text ?? "";
  if (answer.isError) {
    let error;
    try {
      error = JSON.parse(text);
    } catch {
      return { state: "failed", text };
    }
    if (error.code === "action_required" && error.url) {
      const text = "Resto does this when you say so. Its page shows what is to happen.";
      return { state: "waits", text, link: error.url, label: "Open the page", details: error.message };
    }
    return { state: error.code === "denied" ? "refused" : "failed", text: error.message };
  }
  const output = answer.structuredContent;
  // Only these tools answer with pages of Resto; others repeat links that strangers may have written.
  if (/^(dis)?connect_integration$/.test(name) && output?.link) {
    const text = "You do this on a page of Resto. No key passes through this chat.";
    return { state: "waits", text, link: output.link, label: name.startsWith("dis") ? "Disconnect" : "Connect", details: output.message };
  }
  return { state: "done", details: JSON.stringify(output ?? text, null, 2) };
}

const states = { runs: "works", done: "done", waits: "waits for you", refused: "refused", failed: "failed" };

function Card({ name, parameters, status, result }) {
  const { agent } = useAgent();
  const { copilotkit } = useCopilotKit();
  const told = status === "complete" ? read(name, result) : { state: "runs" };
  const [isLeft, leave] = useState(false);
  const goOn = async () => {
    leave(true);
    // What was clicked while the agent still speaks is done when it has ended.
    while (agent.isRunning) await new Promise((next) => setTimeout(next, 100));
    agent.addMessage({ id: crypto.randomUUID(), role: "user", content: "I am done there. Make the same call again." });
    copilotkit.runAgent({ agent });
  };
  return (
    <section className={`card ${told.state}`}>
      <header>
        <code>{name}</code> <span>{states[told.state]}</span>
      </header>
      {told.text && <p>{told.text}</p>}
      {told.link?.startsWith("http") && !isLeft && (
        <p className="way">
          <a href={told.link} target="_blank" rel="noreferrer">{told.label}</a>
          <button type="button" onClick={goOn}>I am done there</button>
        </p>
      )}
      <details>
        <summary>Details</summary>
        <pre>{JSON.stringify(parameters, null, 2)}</pre>
        {told.details && <pre>{told.details}</pre>}
      </details>
    </section>
  );
}

function Chat() {
  useDefaultRenderTool({ render: (call) => <Card {...call} /> });
  useConfigureSuggestions({
    available: "before-first-message",
    suggestions: [
      { title: "What is connected?", message: "Which services are connected?" },
      { title: "Connect GitHub", message: "Connect our GitHub account." },
      { title: "What do we need?", message: "Which services does a small web shop need?" },
    ],
  });
  const labels = { welcomeMessageText: "What shall I do for your business?", chatInputPlaceholder: "Ask for something" };
  return <CopilotChat labels={labels} />;
}

createRoot(document.getElementById("chat")).render(
  <CopilotKitProvider runtimeUrl="/copilotkit" enableInspector={false}>
    <header className="top"><h1>Resto with CopilotKit</h1></header>
    <main><Chat /></main>
  </CopilotKitProvider>,
);
