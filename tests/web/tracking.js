async function createTrackingSession(userId = null) {
const options = {
method: 'POST',
credentials: 'include', // Important for cookie handling
headers: {
'Content-Type': 'application/json',
'x-jay-api-version': '2025-05-19', // Specify the API version
'X-API-Key': 'your_api_key_here'
}
};
// Add User ID if available
if (userId) {
options.body = JSON.stringify({ userId });
}
try {
const response = await fetch('https://your-api-domain/v1/playouts/tracking/session', options);
if (!response.ok) {
throw new Error(`Error creating tracking session: ${response.status}`);
}
const sessionData = await response.json();
console.log('Tracking session created:', sessionData);
return sessionData;
} catch (error) {
console.error('Could not create tracking session:', error);
return null;
}
}

// Create a new tracking session
async function createTracking(userId = null) {
return await createTrackingSession(userId);
}
// Check if a user has an existing session
async function checkTrackingSession() {
try {
const response = await fetch('https://your-api-domain/v1/playouts/tracking/session', {
credentials: 'include',
headers: {
'x-jay-api-version': '2025-05-19',
'X-API-Key': 'your_api_key_here'
}
});
if (response.ok) {
return await response.json();
}
return null;
} catch (error) {
console.error('Error checking tracking session:', error);
return null;
}
}
// End a user's tracking session
async function endTrackingSession() {
try {
const response = await fetch('https://your-api-domain/v1/playouts/tracking/session', {
method: 'DELETE',
credentials: 'include',
headers: {
'x-jay-api-version': '2025-05-19',
'X-API-Key': 'your_api_key_here'
}
});
if (response.ok) {
console.log('Tracking session deleted successfully');
return true;
}
return false;
} catch (error) {
console.error('Error deleting tracking session:', error);
return false;
}
}

// Create a session and store the ID
async function setupTracking(userId = null) {
const options = {
method: 'POST',
headers: {
'Content-Type': 'application/json',
'x-jay-api-version': '2025-05-19',
'X-API-Key': 'your_api_key_here'
}
};
if (userId) {
options.body = JSON.stringify({ userId });
}
const response = await fetch('https://your-api-domain/v1/playouts/tracking/session', options);
const data = await response.json();
// Extract the session ID from the response
const sessionId = data.session_id;
// Store the session ID locally (e.g., localStorage, AsyncStorage, etc.)
saveSessionId(sessionId);
return sessionId;
}
// Example for a request with the stored session ID
async function fetchWithTracking(url) {
const sessionId = getStoredSessionId(); // Implement this function according to your storage method
const response = await fetch(url, {
headers: {
'__Secure-jay_tracking': sessionId,
'x-jay-api-version': '2025-05-19',
'X-API-Key': 'your_api_key_here'
}
});
return response.json();
}
// Example to delete a tracking session
async function deleteTrackingSession() {
const sessionId = getStoredSessionId();
const response = await fetch('https://your-api-domain/v1/playouts/tracking/session', {
method: 'DELETE',
headers: {
'__Secure-jay_tracking': sessionId,
'x-jay-api-version': '2025-05-19',
'X-API-Key': 'your_api_key_here'
}
});
if (response.ok) {
// Clear the stored session ID
clearSessionId();
return true;
}
return false;
}
