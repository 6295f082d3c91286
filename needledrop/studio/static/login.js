// Send the token in the body of a request, so that it is in no address and no history.
"use strict";
document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = document.getElementById("login-error");
  problem.textContent = "";
  try {
    const answer = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: document.getElementById("token").value }),
    });
    if (answer.ok) location.replace("/");
    else problem.textContent = (await answer.json()).error;
  } catch {
    problem.textContent = "The studio does not answer; is it still running?";
  }
});
